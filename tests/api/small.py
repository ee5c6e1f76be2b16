"""Small desired states, for tests of how objects are written and kept.

The real builders are tested elsewhere; here each object represents one way of writing.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from fastapi_operator import naming
from fastapi_operator.api.parse import parse_service
from fastapi_operator.facts import Facts
from fastapi_operator.parts import Part
from fastapi_operator.reconcile.plan.desired_state import BuildDesiredState, DesiredState
from fastapi_operator.resources.desired import Desired, Gate, Generated, Write
from fastapi_operator.resources.stage import Stage
from fastapi_operator.settings import Settings
from fastapi_operator.tuning.measurements import NOT_MEASURED, Measurements


def build(
    body: Mapping[str, Any],
    settings: Settings,
    facts: Facts,
    stage: Stage | None = None,
    accepted: Measurements = NOT_MEASURED,
) -> DesiredState:
    """Returns an app with its configuration, and a database if the spec has one."""
    service, problems = parse_service(body)
    suspended = bool(body["spec"].get("suspend"))
    if service is None:
        return DesiredState(problems=problems, suspended=suspended)
    name, namespace, spec = service.metadata.name, service.metadata.namespace, service.spec
    key = None
    objects = []
    if spec.postgres is not None:
        objects += database(name, namespace, retain=spec.postgres.deletion_policy != "Delete")
    if spec.postgres is not None and spec.postgres.migrations is not None:
        key = naming.content_hash(f"{spec.image} {spec.postgres.migrations.retry}")
        objects.append(migration(name, namespace, key, spec.image))
    fixed = spec.scaling.replicas if spec.scaling else None
    objects += app(name, namespace, spec.image, replicas=fixed)
    if fixed is None:
        objects.append(autoscaler(name, namespace))
    return DesiredState(
        problems=problems, objects=tuple(objects), migration_key=key, suspended=suspended
    )


def changed(change: Callable[[Desired], Desired], *, image: str | None = None) -> BuildDesiredState:
    """Returns a build whose objects differ: those of each service, or of one with this image."""

    def build_changed(body: Mapping[str, Any], *facts: Any, **options: Any) -> DesiredState:
        made = build(body, *facts, **options)
        if image not in (None, body["spec"]["image"]):
            return made
        return replace(made, objects=tuple(map(change, made.objects)))

    return build_changed


def app(name: str, namespace: str, image: str, *, replicas: int | None) -> list[Desired]:
    """A ConfigMap, a Service and a Deployment."""
    config = _object("v1/ConfigMap", naming.child_name(name, "app"), namespace, name, Part.APP)
    config["data"] = {"IMAGE": image, "GREETING": "hello"}
    service = _object("v1/Service", name, namespace, name, Part.APP)
    service["spec"] = {
        "selector": naming.selector(name, Part.APP),
        "ports": [{"name": "http", "port": 80, "targetPort": 8000}],
    }
    deployment = _object("apps/v1/Deployment", name, namespace, name, Part.APP)
    deployment["spec"] = {
        "replicas": 2 if replicas is None else replicas,
        "selector": {"matchLabels": naming.selector(name, Part.APP)},
        "template": {
            "metadata": {"labels": naming.selector(name, Part.APP)},
            "spec": {
                "containers": [
                    {
                        "name": "app",
                        "image": image,
                        "env": [{"name": "A", "value": "1"}],
                        "ports": [{"containerPort": 8000}],
                        # Forms that the API server rewrites: 1000m becomes 1, 0.5Gi 512Mi.
                        "resources": {"requests": {"cpu": "1000m", "memory": "0.5Gi"}},
                    }
                ]
            },
        },
    }
    gate = Gate.MIGRATED
    return [
        Desired(part=Part.APP, body=config, gate=gate),
        Desired(part=Part.APP, body=service),
        Desired(part=Part.APP, body=deployment, gate=gate, hands_over_replicas=replicas is None),
    ]


def autoscaler(name: str, namespace: str) -> Desired:
    """An autoscaler of the app."""
    body = _object(
        "autoscaling/v2/HorizontalPodAutoscaler", name, namespace, name, Part.AUTOSCALING
    )
    body["spec"] = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
        "minReplicas": 2,
        "maxReplicas": 5,
        "metrics": [
            {
                "type": "Resource",
                "resource": {
                    "name": "cpu",
                    "target": {"type": "Utilization", "averageUtilization": 65},
                },
            }
        ],
    }
    return Desired(part=Part.AUTOSCALING, body=body)


def database(name: str, namespace: str, *, retain: bool) -> list[Desired]:
    """Generated credentials, a volume and a StatefulSet."""
    full = naming.child_name(name, "postgres")
    secret = _object("v1/Secret", full, namespace, name, Part.DATABASE)
    claim = _object("v1/PersistentVolumeClaim", full, namespace, name, Part.DATABASE)
    claim["spec"] = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "1Gi"}},
    }
    stateful = _object("apps/v1/StatefulSet", full, namespace, name, Part.DATABASE)
    stateful["spec"] = {
        "replicas": 1,
        "serviceName": full,
        "selector": {"matchLabels": naming.selector(name, Part.DATABASE)},
        "template": {
            # As the real builders do; the controller copies all labels to its revisions.
            "metadata": {"labels": naming.labels(name, Part.DATABASE)},
            "spec": {"containers": [{"name": "postgres", "image": "registry.test/postgres:18"}]},
        },
    }
    generated = Generated(("password",), {"url": f"postgresql://app:{{password}}@{full}/app"})
    once = Write.CREATE_ONCE
    return [
        Desired(part=Part.DATABASE, body=secret, write=once, retain=retain, generate=generated),
        Desired(part=Part.DATABASE, body=claim, write=once, retain=retain),
        Desired(part=Part.DATABASE, body=stateful),
    ]


def migration(name: str, namespace: str, key: str, image: str) -> Desired:
    """The migration Job."""
    body = _object(
        "batch/v1/Job",
        naming.child_name(name, "migrate", key),
        namespace,
        name,
        Part.MIGRATION,
    )
    body["spec"] = {
        "backoffLimit": 0,
        "template": {
            "spec": {
                "restartPolicy": "Never",
                "containers": [{"name": "migrate", "image": image}],
            }
        },
    }
    return Desired(part=Part.MIGRATION, body=body, write=Write.CREATE_ONCE, gate=Gate.DATABASE)


def _object(api: str, name: str, namespace: str, service: str, part: Part) -> dict[str, Any]:
    api_version, _, kind = api.rpartition("/")
    return {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": naming.labels(service, part),
        },
    }
