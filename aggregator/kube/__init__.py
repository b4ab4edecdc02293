"""The only place that names kubernetes_asyncio: transport, reflectors, work queues, controllers."""
