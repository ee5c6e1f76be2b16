"""A new version of the app beside the released one: its Deployment and Service."""

from typing import Any

from fastapi_operator import naming
from fastapi_operator.parts import Part
from fastapi_operator.resources import objects
from fastapi_operator.resources.app import app_template
from fastapi_operator.resources.desired import Desired
from fastapi_operator.resources.inputs import Inputs
from fastapi_operator.resources.stage import Stage
from fastapi_operator.tuning.canary import CanaryPlan
from fastapi_operator.tuning.scaling import rollout_deadline_seconds

# The value of the label by which no pod is selected.
_NONE = "none"


def build(inputs: Inputs) -> tuple[Desired, ...]:
    """Builds the objects of a new version; none unless it is at a stage."""
    stage = inputs.stage
    if stage is None:
        return ()
    return (_service(inputs, stage), _deployment(inputs, stage))


def largest_stage(plan: CanaryPlan) -> Stage:
    """Returns the stage with the largest share and the most pods, for their size."""
    steps = plan.steps.value
    return Stage("0" * 8, step=len(steps), percent=steps[-1], replicas=plan.max_pods.value)


def _service(inputs: Inputs, stage: Stage) -> Desired:
    """Builds the Service by which the proxy finds the pods.

    Its selector names the version, so that it never has pods of a version that was replaced. If the
    stage is closed, it has none.
    """
    version = {naming.CANARY_LABEL: stage.canary if stage.open else _NONE}
    proxy = inputs.plan.proxy
    # Then its name has the address of each ready pod, among which the proxy chooses.
    balances_pods = proxy is not None and proxy.pod_connections is not None
    fields: dict[str, Any] = {"clusterIP": "None"} if balances_pods else {}
    return objects.service(
        inputs,
        Part.CANARY,
        inputs.name_of(Part.CANARY, *(("pods",) if balances_pods else ())),
        {"http": (inputs.app_port, "http")},
        selector=inputs.selector(Part.CANARY) | version,
        **fields,
    )


def _deployment(inputs: Inputs, stage: Stage) -> Desired:
    template = app_template(inputs, Part.CANARY)
    template["metadata"]["labels"][naming.CANARY_LABEL] = stage.canary
    return objects.deployment(
        inputs,
        Part.CANARY,
        inputs.name_of(Part.CANARY),
        template,
        replicas=stage.replicas,
        # A surge is not counted in the connection budget beside that of the app.
        max_surge=0,
        max_unavailable="100%",
        deadline_seconds=rollout_deadline_seconds(inputs.spec),
    )
