"""The measurements of a service: a ConfigMap ``NAME-measurements``.

It has the summary from which the operator continues, and the figures that follow from it in the
form of ``measure -o yaml``, which the commands read.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from fastapi_operator import naming
from fastapi_operator.observation import text
from fastapi_operator.observation.figures import measurements
from fastapi_operator.observation.hours import NOTHING, Hours
from fastapi_operator.reconcile.observe.identity import Owner
from fastapi_operator.reconcile.observe.record_body import record_body
from fastapi_operator.resources.desired import ObjectKey
from fastapi_operator.tuning.measurements import Measurements

SUMMARY_KEY = "hours.json"
FIGURES_KEY = "measurements.yaml"
MAX_BYTES = 16 * 1024
_SUFFIX = "measurements"


@dataclass(frozen=True)
class MeasurementsRecord:
    """The content of the ConfigMap.

    Attributes:
        hours: The summary.
        measured: The figures that follow from it.
    """

    hours: Hours
    measured: Measurements

    @classmethod
    def new(cls, hours: Hours, owner: Owner, now: float) -> "MeasurementsRecord":
        """Returns the record of a summary."""
        service = f"{owner.namespace}/{owner.name}"
        return cls(hours, measurements(hours, service, now=now))

    def to_body(self, owner: Owner) -> dict[str, Any]:
        """Returns the ConfigMap, at most 16 KiB of data."""
        figures = self.measured.model_dump(mode="json", by_alias=True, exclude_none=True)
        data = {
            SUMMARY_KEY: text.encode(self.hours),
            FIGURES_KEY: yaml.safe_dump(_rounded(figures), sort_keys=False),
        }
        return record_body(record_key(owner), owner, data)


def hours_of(body: Mapping[str, Any]) -> Hours:
    """Returns the summary in a live ConfigMap; an empty one if people broke it."""
    found = (body.get("data") or {}).get(SUMMARY_KEY)
    return text.decode(found) if isinstance(found, str) else NOTHING


def record_key(owner: Owner) -> ObjectKey:
    """Returns the identity of the measurements of a service."""
    return ObjectKey("", "ConfigMap", owner.namespace, record_name(owner.name))


def record_name(service: str) -> str:
    """Returns the name of the ConfigMap."""
    return naming.child_name(service, _SUFFIX)


def _rounded(value: Any) -> Any:
    """Returns figures with four digits, which is more than a measurement has."""
    if isinstance(value, Mapping):
        return {name: _rounded(item) for name, item in value.items()}
    return float(f"{value:.4g}") if isinstance(value, float) else value
