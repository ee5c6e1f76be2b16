"""A small app of the kind that people have: FastAPI, PostgreSQL, a cache, Celery with beat.

It knows nothing of the operator but the environment contract.
"""
