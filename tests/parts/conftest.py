"""Parts that the short tier has no time for, on a node of its own."""

from typing import Any

from tests.e2e.conftest import Shop, cluster, shop

__all__ = ["cluster", "service", "shop", "small"]


def small(**spec: Any) -> dict[str, Any]:
    """A spec that fits beside many others on two cores."""
    return {
        "resources": {"requests": {"cpu": "50m"}},
        "scaling": {"replicas": 1},
        "proxy": {"replicas": 1},
        **spec,
    }


def service(shop: Shop, spec: dict[str, Any]) -> None:
    """Applies a service, in a namespace that enforces the restricted profile."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    metadata = {"name": shop.name, "namespace": shop.namespace}
    shop.kubectl.apply(
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": shop.namespace, "labels": labels},
        },
        {
            "apiVersion": "fastapi-operator.io/v1alpha1",
            "kind": "FastAPIService",
            "metadata": metadata,
            "spec": {"image": shop.app_image, **spec},
        },
    )
