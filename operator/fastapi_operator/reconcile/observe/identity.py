"""The identity of a service: its name, or this one object with its uid."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from fastapi_operator import naming


class ServiceKey(NamedTuple):
    """Namespace and name of a service."""

    namespace: str
    name: str


@dataclass(frozen=True)
class Owner:
    """The service that is being reconciled, as the owner of its objects."""

    namespace: str
    name: str
    uid: str

    @property
    def key(self) -> ServiceKey:
        """Its namespace and name."""
        return ServiceKey(self.namespace, self.name)

    @property
    def reference(self) -> dict[str, Any]:
        """The controller owner reference of its children.

        Deletion is not blocked: if OwnerReferencesPermissionEnforcement is enabled, that would
        need the right to update finalizers, and the operator has no reason to wait.
        """
        return {
            "apiVersion": naming.API_VERSION,
            "kind": naming.KIND,
            "name": self.name,
            "uid": self.uid,
            "controller": True,
            "blockOwnerDeletion": False,
        }
