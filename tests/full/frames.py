"""The data of panels as Grafana's server sends it, from the results of a running Prometheus."""

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

STEP_SECONDS = 5
NAMESPACE, SERVICE = "watched", "shop"
_VARIABLES = {
    "$__rate_interval": "1m",
    "$__interval": f"{STEP_SECONDS}s",
    "$__range": "10m",
    "$namespace": NAMESPACE,
    "$route": ".*",
}

Query = Callable[..., Any]
Series = Mapping[str, Any]
"""Labels as ``metric``, and ``values``: one at each step, null if there is none."""


@dataclass(frozen=True)
class Results:
    """Results of queries between two times.

    Attributes:
        since: The begin, in seconds.
        until: The end, in seconds.
        found: The series of each query, by its kind and text.
    """

    since: float
    until: float
    found: Mapping[str, Sequence[Series]]

    def frames(self, model: Mapping[str, Any]) -> dict[int, list[dict[str, Any]]]:
        """Returns the data frames of each panel of a dashboard, by its id.

        Raises:
            KeyError: A query was not executed.
        """
        return {
            panel["id"]: [frame for target in panel["targets"] for frame in self._frames(target)]
            for panel in model["panels"]
            if panel["type"] != "row"
        }

    def _frames(self, target: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        found = self.found[_key(target)]
        begin = self.until if target.get("instant") else self.since
        if target.get("format") == "table":
            yield from _table(target, begin, found)
            return
        for series in found:
            points = [
                (1000 * (begin + STEP_SECONDS * at), value)
                for at, value in enumerate(series["values"])
                if value is not None
            ]
            name = _named(target["legendFormat"], series["metric"])
            time = {"name": "Time", "type": "time", "config": {"interval": 1000 * STEP_SECONDS}}
            value = {
                "name": "Value",
                "type": "number",
                "labels": series["metric"],
                "config": {"displayNameFromDS": name},
            }
            yield {
                "schema": {"refId": target["refId"], "name": name, "fields": [time, value]},
                "data": {"values": [[at for at, _ in points], [value for _, value in points]]},
            }


def execute(get: Query, models: Iterable[Mapping[str, Any]], since: float, until: float) -> Results:
    """Executes the queries of all panels of some dashboards.

    Args:
        get: ``get`` of a Prometheus.
        models: The models of the dashboards.
        since: The begin of the results, in seconds.
        until: Their end.

    Raises:
        urllib.error.HTTPError: A query is wrong.
    """
    targets = {
        _key(target): target
        for model in models
        for panel in model["panels"]
        for target in panel.get("targets", ())
    }
    found = {key: list(_result(get, target, since, until)) for key, target in targets.items()}
    return Results(since, until, found)


def filled(expression: str, service: str = SERVICE) -> str:
    """Returns a query of a dashboard with values in place of its variables."""
    for variable, value in {**_VARIABLES, "$service": service}.items():
        expression = expression.replace(variable, value)
    return expression


def _key(target: Mapping[str, Any]) -> str:
    return f"{'instant' if target.get('instant') else 'range'} {target['expr']}"


def _result(get: Query, target: Mapping[str, Any], since: float, until: float) -> Iterator[Series]:
    query = filled(target["expr"])
    if target.get("instant"):
        for series in get("query", query=query, time=str(until))["result"]:
            yield {"metric": series["metric"], "values": [_number(series["value"][1])]}
        return
    times = {"start": str(since), "end": str(until), "step": str(STEP_SECONDS)}
    for series in get("query_range", query=query, **times)["result"]:
        values: list[float | None] = [None] * (int((until - since) / STEP_SECONDS) + 1)
        for time, value in series["values"]:
            values[round((time - since) / STEP_SECONDS)] = _number(value)
        yield {"metric": series["metric"], "values": values}


def _number(text: str) -> float | None:
    """Returns a value with the digits that a panel can show; JSON has no infinity."""
    number = float(text)
    return float(f"{number:.6g}") if math.isfinite(number) else None


def _named(legend: str, labels: Mapping[str, str]) -> str:
    return re.sub(r"\{\{\s*(\w+)\s*\}\}", lambda name: labels.get(name[1], ""), legend)


def _table(
    target: Mapping[str, Any], time: float, found: Sequence[Series]
) -> Iterator[dict[str, Any]]:
    """Yields one frame, with a column for each label."""
    if not found:
        return
    labels = sorted({label for series in found for label in series["metric"]})
    columns = [[series["metric"].get(label, "") for series in found] for label in labels]
    fields = [
        {"name": "Time", "type": "time"},
        *({"name": label, "type": "string"} for label in labels),
        {"name": "Value", "type": "number"},
    ]
    values = [[1000 * time] * len(found), *columns, [series["values"][0] for series in found]]
    yield {"schema": {"refId": target["refId"], "fields": fields}, "data": {"values": values}}
