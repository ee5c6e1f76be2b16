"""The Job that imports the app of a new image, as its server would, before it is rolled out.

Its pod is that of the app without everything that is secret or that connects: placeholders replace
the values of Secrets, no token is mounted, no name is resolved, and its NetworkPolicy permits no
connection. ``preflight_check`` is the program that imports the app. The missing parts are among its
options, so that an image is not blamed for them.
"""

import functools
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fastapi_operator import naming
from fastapi_operator.api.guards import APP_CONTAINER, SCRATCH_VOLUME
from fastapi_operator.parts import Part
from fastapi_operator.resources import objects, pod
from fastapi_operator.resources.app import app_template, pod_account
from fastapi_operator.resources.connections import contract_name, own_names
from fastapi_operator.resources.desired import Desired, Write
from fastapi_operator.resources.inputs import Inputs

Body = Mapping[str, Any]

_GRACE_SECONDS = 1
# Whatever decides where a pod runs and as whom is that of the app.
_POD_FIELDS = (
    "affinity",
    "hostAliases",
    "imagePullSecrets",
    "nodeSelector",
    "priorityClassName",
    "runtimeClassName",
    "securityContext",
    "tolerations",
)
_CONTAINER_FIELDS = ("image", "imagePullPolicy", "workingDir", "securityContext")
# Volumes whose content is neither secret nor in use by another pod.
_VOLUMES = ("emptyDir", "configMap", "downwardAPI", "image")
_SECRET_SOURCES = ("secret", "serviceAccountToken", "clusterTrustBundle", "podCertificate")
# The webhook of EKS adds a token of AWS to each container that is not named here.
_NO_CLOUD_IDENTITY = "eks.amazonaws.com/skip-containers"
_LOCAL = "127.0.0.1"
_TEXT = "preflight"
# The end of a variable's name, and a value that a client of it accepts. The first match is used.
_PLACEHOLDERS = (
    (r"SENTRY_DSN$", f"https://{_TEXT}@{_LOCAL}/1"),
    (r"OTEL_EXPORTER_OTLP_HEADERS$", f"{_TEXT}={_TEXT}"),
    (r"(?:DATABASE|POSTGRES|PG|DB|SQLALCHEMY)\w*(?:URL|URI|DSN)$",
     f"postgresql://{_TEXT}:{_TEXT}@{_LOCAL}:5432/{_TEXT}"),
    (r"(?:AMQP|RABBIT)\w*(?:URL|URI)$", f"amqp://{_TEXT}:{_TEXT}@{_LOCAL}:5672//"),
    (r"(?:REDIS|CACHE|QUEUE|CELERY|BROKER)\w*(?:URL|URI|DSN|BROKER|BACKEND)$",
     f"redis://{_LOCAL}:6379/0"),
    (r"MONGO\w*(?:URL|URI|DSN)$", f"mongodb://{_LOCAL}:27017/{_TEXT}"),
    (r"(?:URL|URI|ENDPOINT|DSN)$", f"http://{_LOCAL}/"),
    (r"HOST(?:NAME)?$", _LOCAL),
    (r"(?:DATABASE|POSTGRES|PG)\w*PORT$", "5432"),
    (r"PORT$", "6379"),
    (r"(?:REDIS|QUEUE)_NAME$", "0"),
)  # fmt: skip


def build(inputs: Inputs) -> tuple[Desired, ...]:
    """Builds the Job; none unless ``spec.rollout.preflight`` is Enabled."""
    plan = inputs.plan.preflight
    if plan is None:
        return ()
    app = app_template(inputs, Part.APP)["spec"]
    main = next(item for item in app["containers"] if item["name"] == APP_CONTAINER)
    volumes = [item for item in app["volumes"] if _is_open(item)]
    kept = {item["name"] for item in volumes}
    sources = [item for item in main.get("envFrom") or () if "secretRef" not in item]
    env, placeholders = _environment(inputs, main)
    container = pod.container(
        Part.PREFLIGHT.record.container,
        image=main["image"],
        pull_policy=main["imagePullPolicy"],
        command=("python3", "-c", _check(), _options(inputs, main, app, placeholders)),
        env=env,
        resources=pod.resources(
            cpu_request=plan.cpu_request_millicores.value,
            memory_request=plan.memory_request_bytes.value,
            memory_limit=plan.memory_limit_bytes.value,
        ),
    )
    if sources:
        container["envFrom"] = sources
    container |= {name: main[name] for name in _CONTAINER_FIELDS if name in main}
    container["volumeMounts"] = [item for item in main["volumeMounts"] if item["name"] in kept]
    template = pod.pod_template(
        inputs,
        Part.PREFLIGHT,
        containers=(container,),
        volumes=[item for item in volumes if item["name"] != SCRATCH_VOLUME],
        grace_seconds=_GRACE_SECONDS,
        restartPolicy="Never",
        # Without a server that responds, a name fails at once and not after seconds.
        dnsPolicy="None",
        dnsConfig={"nameservers": [_LOCAL]},
        **{**pod_account(inputs), "automountServiceAccountToken": False},
        **{name: app[name] for name in _POD_FIELDS if name in app},
    )
    skip = {_NO_CLOUD_IDENTITY: Part.PREFLIGHT.record.container}
    template["metadata"]["annotations"] = {**template["metadata"].get("annotations", {}), **skip}
    spec = {
        # The same import would have the same result.
        "backoffLimit": 0,
        "activeDeadlineSeconds": plan.deadline_seconds.value,
        "template": template,
    }
    # Whatever reaches the pod is in its name, so that a change is checked again after a failure.
    name = inputs.name_of(Part.PREFLIGHT, naming.content_hash(spec))
    body = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": objects.metadata(inputs, Part.PREFLIGHT, name),
        "spec": spec,
    }
    return (Desired(Part.PREFLIGHT, body, write=Write.CREATE_ONCE),)


def request_of(spec: Body) -> str:
    """Returns the key of the checked image: its name as written, and which app it starts how."""
    server = spec.get("server") or {}
    names = ("image", "app", "command", "args")
    return naming.content_hash(
        {
            **{name: spec.get(name) for name in names},
            **{name: server.get(name) for name in ("engine", "extraArgs")},
        }
    )


@functools.cache
def _check() -> str:
    return Path(__file__).with_name("preflight_check.py").read_text(encoding="utf-8")


def _options(inputs: Inputs, main: Body, app: Body, placeholders: list[str]) -> str:
    assert inputs.plan.preflight is not None, "the Job is built only with its plan"
    return json.dumps(
        {
            "command": [*main.get("command", ()), *main.get("args", ())],
            "app": inputs.spec.app or "",
            "placeholders": placeholders,
            "absent": list(dict.fromkeys(_absent(main, app))),
            "seconds": inputs.plan.preflight.import_seconds.value,
        }
    )


def _absent(main: Body, app: Body) -> Iterator[str]:
    """Yields the parts that only the pod of the app has."""
    if any("secretRef" in item for item in main.get("envFrom") or ()):
        yield "Secrets"
    mounted = {item["name"] for item in main["volumeMounts"]}
    for volume in app["volumes"]:
        if volume["name"] in mounted and not _is_open(volume):
            yield "Secret volumes" if _is_secret(volume) else "volumes"
    if any(item.get("restartPolicy") != "Always" for item in app.get("initContainers") or ()):
        yield "init containers"


def _is_open(volume: Body) -> bool:
    """Whether the volume has no secret, and no content that other pods share."""
    if "projected" in volume:
        return not _is_secret(volume)
    return any(kind in volume for kind in _VOLUMES)


def _is_secret(volume: Body) -> bool:
    sources = (volume.get("projected") or {}).get("sources") or ()
    return "secret" in volume or any(kind in item for item in sources for kind in _SECRET_SOURCES)


def _environment(inputs: Inputs, main: Body) -> tuple[list[dict[str, Any]], list[str]]:
    """Returns the app's variables without Secrets, and the user's own that have a placeholder."""
    sources = {name: contract_name(part, kind) for part, name, kind in own_names(inputs.spec)}
    users = {str(item.get("name")) for item in inputs.spec.env or ()}
    found, replaced = [], []
    for entry in main.get("env") or ():
        name = entry["name"]
        if "secretKeyRef" in (entry.get("valueFrom") or {}):
            found.append({"name": name, "value": _placeholder(sources.get(name, name))})
            if name in users:
                replaced.append(name)
        else:
            found.append(dict(entry))
    return found, replaced


def _placeholder(name: str) -> str:
    values = (value for pattern, value in _PLACEHOLDERS if re.search(pattern, name.upper()))
    return next(values, _TEXT)
