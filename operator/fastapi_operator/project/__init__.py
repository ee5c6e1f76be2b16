"""What an existing FastAPI project tells of the service it needs: ``fastapi-operator init``."""
