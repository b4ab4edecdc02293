"""The Kubernetes API of Gamekeeper as pydantic models, and every label, annotation and reason by name."""
