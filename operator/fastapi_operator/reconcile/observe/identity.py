"""Which service is meant: its name alone, or this one object with its uid."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from fastapi_operator import naming


class Key(NamedTuple):
    """Namespace and name of a service."""

    namespace: str
    name: str


@dataclass(frozen=True)
class Owner:
    """The service that a pass is about."""

    namespace: str
    name: str
    uid: str

    @property
    def reference(self) -> dict[str, Any]:
        """The controller owner reference of its children.

        Deletion is not blocked: that would need the right to update finalizers where
        OwnerReferencesPermissionEnforcement is on, and nothing here has to wait.
        """
        return {
            "apiVersion": naming.API_VERSION,
            "kind": naming.KIND,
            "name": self.name,
            "uid": self.uid,
            "controller": True,
            "blockOwnerDeletion": False,
        }
