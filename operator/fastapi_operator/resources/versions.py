"""How the proxy divides the requests between two versions: the values of its configuration."""

from collections.abc import Iterable
from dataclasses import dataclass

from fastapi_operator.api.exposure import Exposure
from fastapi_operator.api.proxy import Proxy
from fastapi_operator.parts import Part
from fastapi_operator.platforms import MESHES
from fastapi_operator.resources.inputs import Inputs
from fastapi_operator.tuning.canary import CanaryPlan
from fastapi_operator.tuning.client_address import Source, client_address

_EVERYONE = ("0.0.0.0/0", "::/0")
# The connections of kubectl port-forward, for which a person needs rights in the cluster.
_OWN_ADDRESSES = ("127.0.0.1/32", "::1/128")


@dataclass(frozen=True)
class Versions:
    """The stage of a new version, as the proxy has it.

    Attributes:
        canary: The identity of the new version.
        step: The number of the step.
        percent: Its share of the requests.
        service: The name of its Service: the headless one if the proxy chooses a pod itself.
        by_client: Whether a request is assigned by its client, else by chance.
        sticky_header: The header that assigns a request instead; empty for none.
        version_header: The header by which testers choose; empty for none.
        testers: The networks of testers.
    """

    canary: str
    step: int
    percent: int
    service: str
    by_client: bool
    sticky_header: str
    version_header: str
    testers: tuple[str, ...]


def versions(inputs: Inputs) -> Versions | None:
    """Returns how the proxy divides the requests; None if there is one version only."""
    stage, plan, proxied = inputs.stage, inputs.plan.canary, inputs.plan.proxy
    if stage is None or plan is None or proxied is None:
        return None
    address = client_address(inputs.spec.proxy or Proxy(), inputs.spec.exposure or Exposure())
    # Connections through the sidecar of a mesh come from these addresses, for every client.
    meshed = any(inputs.facts.offers(mesh.api) for mesh in MESHES)
    own = () if meshed else _OWN_ADDRESSES
    stickiness = plan.stickiness.value
    return Versions(
        canary=stage.canary,
        step=stage.step,
        percent=stage.percent,
        service=inputs.name_of(Part.CANARY, *(("pods",) if proxied.pod_connections else ())),
        by_client=stickiness == "Client"
        or (stickiness == "Header" and address.source is not Source.CONNECTION),
        sticky_header=plan.sticky_header,
        version_header=plan.version_header,
        testers=_testers(plan, (*own, *address.networks)),
    )


def _testers(plan: CanaryPlan, networks: Iterable[str]) -> tuple[str, ...]:
    if not plan.version_header:
        return ()
    return _EVERYONE if plan.everyone_tests else tuple(dict.fromkeys(networks))
