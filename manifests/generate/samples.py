"""Generates samples from the examples of the models: every field that fits the others, explained.

A sample grows field by field. A field that would violate a rule or the plan together with the
fields before it is left out, so a sample is neither stale nor invalid.
"""

import copy
import functools
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

import yaml
from pydantic.fields import FieldInfo

from fastapi_operator import naming
from fastapi_operator.api.model import Model, fields_of, section_of
from fastapi_operator.api.parse import parse_service
from fastapi_operator.api.service import Spec
from fastapi_operator.cluster.kinds import optional_apis
from fastapi_operator.facts import CERTIFICATE, HTTP_ROUTE, ROUTE_FIELDS, Facts
from fastapi_operator.problems import Severity
from fastapi_operator.settings import Settings
from fastapi_operator.tuning.derive import derive
from manifests.generate import documents

_FACTS = Facts(apis=optional_apis() | {HTTP_ROUTE, CERTIFICATE}, route_fields=ROUTE_FIELDS)
_WIDTH = 96

_EXTERNAL: dict[str, Any] = {
    "redis": {"mode": "External", "secretRef": {"name": "shop-redis"}},
    "queue": {"mode": "External", "secretRef": {"name": "shop-queue"}},
    "postgres": {
        "mode": "External",
        "secretRef": {"name": "shop-database"},
        "maxConnections": 100,
        "migrations": {},
    },
    "connections": {"database": {"direct": {"maxConnections": 4}}},
    "serviceAccount": {"name": "shop-existing"},
}
_CLOUD_NATIVE_PG: dict[str, Any] = {"postgres": {"mode": "CloudNativePG", "cloudNativePG": {}}}
_KEDA: dict[str, Any] = {
    "scaling": {
        "engine": "Keda",
        "keda": {"prometheusAddress": "http://prometheus.monitoring:9090"},
    },
    "queue": {},
    "background": [
        {
            "name": "worker",
            "command": ["celery", "-A", "shop.tasks", "worker"],
            "scaling": {"listName": "celery"},
        }
    ],
}
_INGRESS: dict[str, Any] = {
    "exposure": {
        "hosts": ["shop.example.com"],
        "ingress": {},
        "tls": {"issuer": {"name": "letsencrypt"}},
        "entries": [
            {
                "name": "admin",
                "hosts": ["admin.example.com"],
                "ingress": {"className": "internal"},
                "tls": {"issuer": {"name": "letsencrypt"}},
            }
        ],
    }
}
# If two options exclude each other, the one that shows more fields.
_FULL: dict[str, Any] = {
    "server": {"workerPolicy": "Fixed", "workers": 2, "extraArgs": ["--no-server-header"]},
    "scaling": {"minReplicas": 2},
    "exposure": {
        "hosts": ["shop.example.com"],
        "gateway": {"name": "public"},
        "entries": [
            {
                "name": "admin",
                "hosts": ["admin.example.com"],
                "gateway": {"name": "internal"},
                "tls": {"secretName": "admin-tls"},
            }
        ],
    },
    "background": [
        {"name": "worker", "command": ["celery", "-A", "shop.tasks", "worker"]},
        {"name": "beat", "command": ["celery", "-A", "shop.tasks", "beat"], "singleton": True},
    ],
    "rollout": {"canary": {"stickiness": {"mode": "Header", "header": "X-User"}}},
    "serviceAccount": {
        "annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::111122223333:role/shop"}
    },
}


def files() -> Mapping[str, str]:
    """Returns the generated samples, by path."""
    made = {
        "full.yaml": _document(
            "Every field that can be combined with the others. No service needs all of them: an "
            "absent field\nis derived, and `fastapi-operator explain -f` shows from which values.",
            grown(_FULL),
        ),
        "external.yaml": _document(
            "A cache, a queue, a database and an account that exist already.",
            grown(_EXTERNAL, only=tuple(_EXTERNAL)),
        ),
        "cloudnativepg.yaml": _document(
            "A replicated database, run by CloudNativePG.",
            grown(_CLOUD_NATIVE_PG, only=("postgres",)),
        ),
        "keda.yaml": _document(
            "Scaled by KEDA: the app by CPU and by the requests in flight that Prometheus reports, "
            "its worker\nby the tasks that wait.",
            grown(_KEDA, only=("scaling", "background")),
        ),
        "ingress.yaml": _document(
            "Reachable through an Ingress, for a cluster without the Gateway API.",
            grown(_INGRESS, only=("exposure",)),
        ),
    }
    made |= {f"sections/{name}.yaml": text for name, text in section_samples().items()}
    return {f"manifests/samples/{path}": text for path, text in made.items()}


@functools.cache
def section_samples() -> Mapping[str, str]:
    """Returns a service for each section of the spec, by the section's name."""
    return {
        section: _document(
            f"The fields of spec.{section}.",
            grown({section: _FULL[section]} if section in _FULL else {}, only=(section,)),
        )
        for section, field in fields_of(Spec)
        if section_of(field.annotation) is not None and section != "imagePullSecrets"
    }


def grown(seed: dict[str, Any], *, only: tuple[str, ...] = ()) -> dict[str, Any]:
    """Returns a spec with every field that fits a seed.

    Args:
        seed: The fields that the spec always has.
        only: The sections to grow; all if empty.
    """
    spec: dict[str, Any] = {"image": "registry.example.com/shop:1.4.2", **copy.deepcopy(seed)}
    return _in_order(_Growth(spec, only).grown(), Spec)


class _Growth:
    """A spec that grows; it is valid after each step."""

    def __init__(self, spec: dict[str, Any], only: tuple[str, ...]) -> None:
        self._spec = spec
        self._only = only

    def grown(self) -> dict[str, Any]:
        if not _valid(self._spec):
            raise ValueError(f"the seed is not a valid spec: {self._spec}")
        self._grow(self._spec, Spec)
        # A field that did not fit the seed may fit the fields that were added after it.
        self._grow(self._spec, Spec)
        return self._spec

    def _grow(self, holder: dict[str, Any], model: type[Model]) -> None:
        for name, field in fields_of(model):
            if holder is self._spec and self._only and name not in self._only:
                continue
            if name not in holder:
                holder[name] = _least(field)
                if not _valid(self._spec):
                    del holder[name]
                    continue
            section = section_of(field.annotation)
            if section is not None:
                value = holder[name]
                for item in value if isinstance(value, list) else [value]:
                    self._grow(item, section)


def _least(field: FieldInfo) -> Any:
    """Returns an example of a field; of a section, only its required fields."""
    section = section_of(field.annotation)
    if section is None:
        return copy.deepcopy((field.examples or [None])[0])
    value = {name: _least(inner) for name, inner in fields_of(section) if inner.is_required()}
    return [value] if "tuple" in str(field.annotation) else value


def _valid(spec: dict[str, Any]) -> bool:
    service, _ = parse_service(_body(spec))
    if service is None:
        return False
    problems = derive(service, _settings(), _FACTS).problems
    return all(problem.severity is not Severity.ERROR for problem in problems)


@functools.cache
def _settings() -> Settings:
    return Settings()


def _in_order(value: Any, model: type[Model] | None) -> Any:
    """Returns a value with its fields in the order of the models."""
    if isinstance(value, list):
        return [_in_order(item, model) for item in value]
    if model is None or not isinstance(value, dict):
        return value
    return {
        name: _in_order(value[name], section_of(field.annotation))
        for name, field in fields_of(model)
        if name in value
    }


def _body(spec: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": naming.API_VERSION,
        "kind": naming.KIND,
        "metadata": {"name": "shop"},
        "spec": spec,
    }


def _document(about: str, spec: dict[str, Any]) -> str:
    head = documents.heading("the models in operator/fastapi_operator/api")
    note = "".join(f"# {line}\n" for line in about.splitlines())
    body = documents.dump([_body({})]).removesuffix("spec: {}\n")
    return f"{head}{note}{body}spec:\n" + "".join(
        f"{line}\n" for line in _lines(spec, Spec, indent=2)
    )


def _lines(section: dict[str, Any], model: type[Model], *, indent: int) -> Iterator[str]:
    """Yields a section as YAML, with the description of each field above it."""
    pad = " " * indent
    for name, field in fields_of(model):
        if name not in section:
            continue
        about = field.description or ""
        yield from textwrap.wrap(
            about, _WIDTH, initial_indent=f"{pad}# ", subsequent_indent=f"{pad}# "
        )
        value, inner = section[name], section_of(field.annotation)
        if inner is None or not value:
            yield f"{pad}{name}: {_flow(value)}"
        elif isinstance(value, dict):
            yield f"{pad}{name}:"
            yield from _lines(value, inner, indent=indent + 2)
        else:
            yield f"{pad}{name}:"
            for item in value:
                yield from _item(list(_lines(item, inner, indent=indent + 4)), indent + 2)


def _item(lines: list[str], indent: int) -> Iterator[str]:
    """Yields the lines of a list item; the dash is before the first, even if that is a comment."""
    yield f"{' ' * indent}- {lines[0].lstrip()}"
    yield from lines[1:]


def _flow(value: Any) -> str:
    text: str = yaml.safe_dump(
        value, default_flow_style=True, width=10_000, sort_keys=False, allow_unicode=True
    )
    return text.removesuffix("\n").removesuffix("\n...")
