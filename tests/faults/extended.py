"""More faults: real controllers, other writers, rotated Secrets, lost rights and volumes.

Each leaves the services as their owners asked for them, so the end is that of the undisturbed run.
"""

import base64
import contextlib
import json
import time
from collections.abc import Iterator
from typing import Any

from fastapi_operator import naming
from fastapi_operator.reconcile.observe.references import STAMP_ANNOTATION
from tests.api.process import fetch
from tests.faults import admission
from tests.faults.faults import Fault
from tests.faults.field import Field
from tests.faults.fleet import NAMESPACES, Member, Stage
from tests.faults.judge import INJECTED
from tests.faults.people import with_retries
from tests.faults.volumes import claims_lost

_APPS = "/apis/apps/v1/namespaces/{namespace}/{plural}"
_RESTARTED = "kubectl.kubernetes.io/restartedAt"
_KEYS_MANAGER = "keys"
_BINDINGS = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
_USER = "operator-of-faults"
# The real autoscaler looks each 15 s, and its news become conditions of services.
_AUTOSCALED_SECONDS = 35.0
# Without a Lease, readiness lasts for 30 s without a successful request.
_UNREADY_SECONDS = 60.0


def real_controllers(field: Field) -> None:
    """The real controllers do the work; they are killed, and come back 20 s later."""
    with field.operator():
        field.stir(0.5)
        field.kill("kube-controller-manager")
        time.sleep(4 if field.short else 20)
        field.restart()
        field.settle()
        time.sleep(_AUTOSCALED_SECONDS)


def stateful_sets_restarted(field: Field) -> None:
    """Databases are restarted ten times: their ControllerRevisions are no release records."""
    restarts = 4 if field.short else 10
    names = {m.name for m in field.members(Stage.READY, Stage.CHANGING, Stage.FAILED)}
    sets = [
        (f"{_APPS.format(namespace=namespace, plural='statefulsets')}/{body['metadata']['name']}")
        for namespace in NAMESPACES
        for body in field.kube.items(_APPS.format(namespace=namespace, plural="statefulsets"))
        if body["metadata"]["labels"].get(naming.SERVICE_LABEL) in names
    ][:6]
    assert sets, "no service has a StatefulSet"
    before = _release_records(field)
    # The second operator finds all revisions in its first list.
    for turn in range(2):
        with field.operator():
            for number in range(turn * restarts // 2, (turn + 1) * restarts // 2):
                for path in sets:
                    _restart(field, path, f"{number}")
                field.until(lambda: all(_is_restarted(field, path) for path in sets))
            if turn == 1:
                for path in sets:
                    _restart(field, path, None)
                assert _release_records(field) == before
                field.settle()
                time.sleep(_AUTOSCALED_SECONDS)
    revisions = _revisions(field)
    field.met = f"{restarts} restarts of {len(sets)} StatefulSets, {revisions} revisions"
    assert revisions > len(sets), field.met


def _restart(field: Field, path: str, value: str | None) -> None:
    template = {"metadata": {"annotations": {_RESTARTED: value}}}
    field.kube.patch(path, {"spec": {"template": template}}, manager="kubectl-rollout")


def _is_restarted(field: Field, path: str) -> bool:
    body = field.kube.get(path)
    assert body is not None, f"{path} is gone"
    status = body["status"]
    return bool(
        status.get("observedGeneration") == body["metadata"]["generation"]
        and status.get("currentRevision") == status.get("updateRevision")
        and status.get("readyReplicas") == body["spec"]["replicas"]
    )


def _release_records(field: Field) -> dict[str, str]:
    return {
        body["metadata"]["uid"]: body["metadata"]["name"]
        for body in _controller_revisions(field, naming.KIND)
    }


def _revisions(field: Field) -> int:
    return len(list(_controller_revisions(field, "StatefulSet")))


def _controller_revisions(field: Field, owner: str) -> Iterator[dict[str, Any]]:
    for namespace in NAMESPACES:
        for body in field.kube.items(
            _APPS.format(namespace=namespace, plural="controllerrevisions")
        ):
            if any(item["kind"] == owner for item in body["metadata"].get("ownerReferences") or ()):
                yield body


def secrets_rotated(field: Field) -> None:
    """Secrets that pods read get new values each two seconds: the last one always arrives."""
    members = field.members(Stage.READY, Stage.CHANGING)[:5]
    rotations = 0
    seen: set[str] = set()
    with field.operator():
        for member in members:
            _write_key(field, member, "last")
            _read_key(field, member, reads=True)
            # Each change of a service is a release, and its next migration has the variable too.
            name = f"{member.namespace}/{member.name}-"
            field.apart += [f"controllerrevisions/{name}", f"jobs/{name}"]
        field.until(lambda: all(_stamp(field, member) for member in members))
        last = [_stamp(field, member) for member in members]
        until = time.monotonic() + (8 if field.short else 60)
        while time.monotonic() < until:
            rotations += 1
            for member in members:
                _write_key(field, member, f"{rotations}")
                # A migration that has not started gives way to one with the new value, and may get
                # the name of an earlier one.
                field.remade[f"{member.name}-migrate-"] = rotations
            field.stir(0.03)
            time.sleep(2.0)
            seen.update(_stamp(field, member) for member in members)
            _assert_no_loop(field)
        for member in members:
            _write_key(field, member, "last")
        field.until(lambda: [_stamp(field, member) for member in members] == last)
        field.met = f"{rotations} rotations of {len(members)} Secrets, {len(seen)} stamps seen"
        assert len(seen) > len(members), field.met
        for member in members:
            _read_key(field, member, reads=False)
        field.until(lambda: not any(_stamp(field, member) for member in members))
        for member in members:
            field.kube.delete(_key_path(member))
        field.settle()
        _assert_no_loop(field)


def _key_path(member: Member) -> str:
    return f"/api/v1/namespaces/{member.namespace}/secrets/keys-of-{member.name}"


def _write_key(field: Field, member: Member, value: str) -> None:
    body = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": f"keys-of-{member.name}",
            "labels": {naming.WATCHED_LABEL: "true"},
        },
        "data": {"key": base64.b64encode(value.encode()).decode()},
    }
    with_retries(lambda: field.kube.apply(_key_path(member), body, force="true"))


def _read_key(field: Field, member: Member, *, reads: bool) -> None:
    """Another owner of the service adds an environment variable to it, or removes it."""
    source = {"secretKeyRef": {"name": f"keys-of-{member.name}", "key": "key"}}
    body: dict[str, Any] = {
        "apiVersion": naming.API_VERSION,
        "kind": naming.KIND,
        "metadata": {"name": member.name, "namespace": member.namespace},
    }
    if reads:
        body["spec"] = {"env": [{"name": "ROTATED_KEY", "valueFrom": source}]}
    path = field.people.path(member)
    with_retries(lambda: field.kube.apply(path, body, manager=_KEYS_MANAGER, force="true"))


def _stamp(field: Field, member: Member) -> str:
    """The hash of the rotated Secret in the template of the app's pods; empty without."""
    body = _deployment(field, member)
    annotations = body["spec"]["template"]["metadata"].get("annotations") or {}
    stamps: dict[str, str] = json.loads(annotations.get(STAMP_ANNOTATION, "{}"))
    return stamps.get(f"Secret/keys-of-{member.name}", "")


def _deployment_path(member: Member) -> str:
    return f"{_APPS.format(namespace=member.namespace, plural='deployments')}/{member.name}"


def _deployment(field: Field, member: Member) -> dict[str, Any]:
    body: dict[str, Any] | None = with_retries(lambda: field.kube.get(_deployment_path(member)))
    assert body is not None, f"the Deployment of {member.name} is gone"
    return body


def _assert_no_loop(field: Field) -> None:
    stalled = with_retries(lambda: field.people.reasons("Stalled"))
    loops = sorted(name for name, reason in stalled.items() if reason == "DriftLoop")
    assert not loops, f"DriftLoop: {loops}"


def fields_added(field: Field) -> None:
    """A mutating webhook adds labels, annotations, variables and tolerations to each object."""
    # It stays for the new operator after the round, which must find nothing to write.
    field.keep(admission.additions(field.kube, field.folder))
    with field.operator():
        for member in field.members(Stage.READY):
            _touch(field, member)
        field.settle()
        _assert_no_loop(field)
    members = field.members(Stage.READY, Stage.CHANGING)
    injected = [member for member in members if _is_injected(_deployment(field, member))]
    field.met = f"{len(injected)} of {len(members)} Deployments have the added fields"
    assert len(injected) == len(members), field.met


def _touch(field: Field, member: Member) -> None:
    """A user annotates a Deployment, and admission changes the rest."""
    body = {"metadata": {"annotations": {f"{INJECTED}/touched": "1"}}}
    field.kube.patch(_deployment_path(member), body)


def _is_injected(body: dict[str, Any]) -> bool:
    (container, *_) = body["spec"]["template"]["spec"]["containers"]
    return (
        f"{INJECTED}/team" in body["metadata"]["labels"]
        and any(item["name"].startswith(INJECTED) for item in container["env"])
        and bool(body["spec"]["template"]["spec"].get("tolerations"))
    )


def field_overridden(field: Field) -> None:
    """A mutating webhook replaces the images that the operator sets, in each write."""
    members = field.members(Stage.READY, Stage.CHANGING)[:4]
    names = {member.name for member in members}
    since = field.log.mark()
    with admission.overriding(field.kube, field.folder, names), field.operator():
        for member in members:
            _touch(field, member)
        field.stir(0.5)
        field.until(lambda: names <= _overridden(field))
        time.sleep(3.0)
        assert names <= _overridden(field)
        _assert_no_loop(field)
        writes = [
            request.name
            for request in field.log.requests(since)
            if request.writes and request.resource == "deployments" and request.name in names
        ]
        field.met = f"{len(writes)} writes to {len(names)} overridden Deployments"
        assert len(writes) <= 4 * len(names), field.met
    # The webhook is gone. A new process finds the values that it left.
    with field.operator():
        field.settle()
        assert not _overridden(field)


def _overridden(field: Field) -> set[str]:
    """The services with the problem that an admission policy changes an object."""
    return {
        body["metadata"]["name"]
        for body in with_retries(field.people.services)
        for problem in body.get("status", {}).get("problems") or ()
        if "admission policy" in problem["message"]
    }


def no_api_access(field: Field) -> None:
    """The operator's rights are removed for a while; its readiness fails, and then recovers."""
    with (
        _granted(field) as binding,
        field.proxy(user=_USER) as proxy,
        field.operator(proxy=proxy) as operator,
    ):
        field.stir(0.3)
        field.kube.delete(f"{_BINDINGS}/{_USER}")
        # The API server does not end watches that have begun.
        proxy.expire()
        field.stir(0.5)
        began = time.monotonic()
        field.until(lambda: fetch(operator.port, "/readyz")[0] == 503, seconds=_UNREADY_SECONDS)
        field.met = f"not ready after {time.monotonic() - began:.0f} s"
        time.sleep(0 if field.short else 20)
        field.kube.request("POST", _BINDINGS, binding)
        field.until(operator.is_working)
        field.settle()


@contextlib.contextmanager
def _granted(field: Field) -> Iterator[dict[str, Any]]:
    """All rights for the user of the operator, as the binding that may be removed."""
    group = "rbac.authorization.k8s.io"
    binding = {
        "metadata": {"name": _USER},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"apiGroup": group, "kind": "User", "name": _USER}],
    }
    field.kube.request("POST", _BINDINGS, binding)
    yield binding


EXTENDED = (
    Fault("real controllers, killed once", real_controllers, 1.5, controllers=True),
    Fault("StatefulSets restarted ten times", stateful_sets_restarted, 2.0, controllers=True),
    # Each rotation that the operator sees is one write of the Deployment, and its progress.
    Fault("Secrets rotated each 2 s", secrets_rotated, 4.0),
    Fault("fields added by a mutating webhook", fields_added, 1.5),
    Fault("a field overridden by a mutating webhook", field_overridden, 1.5),
    # Their services migrate and release once more, and two operators begin with their refusals.
    Fault("claims with data lost or replaced", claims_lost, 2.0),
    Fault("operator without API access", no_api_access, 1.5),
)
