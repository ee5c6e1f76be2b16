"""A small app of the kind that people have: FastAPI, PostgreSQL, a cache, Celery with beat.

It uses only the environment contract of the operator.
"""
