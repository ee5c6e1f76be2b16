"""The service that is applied: what its file has, with the image that was built."""

from collections.abc import Mapping
from typing import Any

# Metadata that the API server maintains, for a file that kubectl wrote.
_SERVER_METADATA = frozenset(
    {
        "creationTimestamp",
        "deletionTimestamp",
        "generation",
        "managedFields",
        "ownerReferences",
        "resourceVersion",
        "selfLink",
        "uid",
    }
)


class RequestError(ValueError):
    """The file and the options contradict each other; the message has the remedy."""


def namespace_of(body: Mapping[str, Any], requested: str | None, context: str) -> str:
    """Returns the namespace: that of the option, of the file, or else of the context.

    Raises:
        RequestError: The option and the file name different ones.
    """
    given = (body.get("metadata") or {}).get("namespace")
    if requested and given and requested != given:
        raise RequestError(
            f"metadata.namespace is {given}, but --namespace is {requested}; use one of them"
        )
    return str(requested or given or context)


def to_apply(body: Mapping[str, Any], *, namespace: str, image: str) -> dict[str, Any]:
    """Returns the fields to apply: those of the file, and the image."""
    metadata = {
        name: value
        for name, value in (body.get("metadata") or {}).items()
        if name not in _SERVER_METADATA
    }
    return {
        "apiVersion": body.get("apiVersion"),
        "kind": body.get("kind"),
        "metadata": {**metadata, "namespace": namespace},
        "spec": {**(body.get("spec") or {}), "image": image},
    }
