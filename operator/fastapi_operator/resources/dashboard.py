"""The dashboard of one service, in addition to the shared dashboard."""

import json

from fastapi_operator.api.observability import Metrics, Observability
from fastapi_operator.facts import GRAFANA_DASHBOARD
from fastapi_operator.observability import grafana
from fastapi_operator.observability.dashboards import SERVICE
from fastapi_operator.parts import Part
from fastapi_operator.resources import objects
from fastapi_operator.resources.desired import Desired
from fastapi_operator.resources.inputs import Inputs

_FILE = "dashboard.json"


def build(inputs: Inputs) -> tuple[Desired, ...]:
    """Builds the dashboard for Grafana's sidecar and the Grafana operator; none unless requested.

    Its namespace and service are fixed, so that a reader selects neither.
    """
    metrics = (inputs.spec.observability or Observability()).metrics or Metrics()
    if metrics.dashboard != "PerService" or inputs.metrics_port is None:
        return ()
    name = inputs.child("dashboard")
    model = SERVICE.model(
        {"namespace": inputs.namespace, "service": inputs.name},
        runbooks=inputs.settings.runbooks,
    )
    # One line: an annotation with the last applied object holds at most 256 KiB.
    text = json.dumps(model, separators=(",", ":"), ensure_ascii=False)
    config_map = objects.config_map(inputs, Part.OBSERVABILITY, name, {_FILE: text})
    labels = config_map.body["metadata"]["labels"]
    chosen = {**(metrics.additional_labels or {}), **grafana.SIDECAR_LABEL}
    # The part's own labels last: a user's label must not hide an object from the operator.
    config_map.body["metadata"]["labels"] = {**chosen, **labels}
    if not inputs.facts.offers(GRAFANA_DASHBOARD):
        return (config_map,)
    reference = grafana.reference(name, config_map=name, key=_FILE)
    reference["metadata"] = objects.metadata(inputs, Part.OBSERVABILITY, name)
    return (config_map, Desired(Part.OBSERVABILITY, reference))
