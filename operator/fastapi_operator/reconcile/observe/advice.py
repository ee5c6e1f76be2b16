"""Remedies for the output of a process that ended: what to change in the service or the image.

The output itself explains all other errors.
"""

import re

from fastapi_operator.reconcile.observe.connection_advice import connection_advice

_ADVICE = (
    (
        r"Read-only file system|\[Errno 30\]|EROFS",
        "the file system of the image is read-only: let the process write below /tmp, or mount an "
        "emptyDir at that directory with spec.volumes and spec.volumeMounts",
    ),
    (
        r"executable file not found|no such file or directory: unknown$",
        "the program is not on the PATH of the image: install it, put its virtual environment on "
        "the PATH in the Dockerfile, for example ENV PATH=/app/.venv/bin:$PATH, or set "
        "spec.command with its full path",
    ),
    (
        r"pass the application as an import string",
        'uvicorn starts several workers only if the app is a string: uvicorn.run("main:app"); or '
        "set spec.server.workerPolicy: Fixed with workers: 1",
    ),
    (
        r"Error loading ASGI app|Could not import module|Failed to find attribute|AppImportError",
        "set spec.app to module:attribute, as seen from the working directory of the image",
    ),
    (
        r"permission denied for (?:schema|database)",
        "the role of the app cannot create tables: create them in spec.postgres.migrations; "
        "without migrations, the role of a managed database can create them",
    ),
    (
        r"(?:relation|table) \S+ does not exist|no such table",
        "nothing has created the table: set spec.postgres.migrations, or create it at start",
    ),
    (
        r"uid not found: [0-9]+|user with ID [0-9]+ does not exist",
        "the user of the pod has no entry in /etc/passwd of the image; HOME and USER are set",
    ),
    (
        r"\[Errno 13\] Permission denied: '/|can't open file '/[^']*': \[Errno 13\]",
        "the user of the pod cannot read the file: add RUN chmod -R a+rX to the Dockerfile",
    ),
    (
        r"address already in use|\[Errno 98\]",
        "another process of the pod has the port: set spec.port to the port of the command",
    ),
)


def advice(output: str) -> str:
    """Returns the remedy for the output of a process; empty if none is known."""
    known = (remedy for pattern, remedy in _ADVICE if re.search(pattern, output, re.IGNORECASE))
    return next(known, "") or connection_advice(output)
