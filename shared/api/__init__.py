"""The Kubernetes API as pydantic models, and every label, annotation and reason by name."""
