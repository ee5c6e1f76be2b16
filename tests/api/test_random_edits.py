"""Whatever owners and others edit, in whatever order: in the end the rendered state is there."""

import copy
import json
import os
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from fastapi_operator import naming
from fastapi_operator.cluster.kinds import (
    CONTROLLER_REVISION,
    DEPLOYMENT,
    JOB,
    OWNED,
    PERSISTENT_VOLUME_CLAIM,
    SECRET,
    Kind,
    owned_kind,
)
from fastapi_operator.facts import Facts
from fastapi_operator.reconcile.plan.desired_state import build_desired_state
from fastapi_operator.reconcile.write import brakes
from fastapi_operator.resources.desired import Desired
from fastapi_operator.settings import Settings
from tests.api.definitions import DEFINITIONS, MONITOR_CRD
from tests.api.kube import Kube, RefusedError
from tests.api.world import World, eventually, install_crd, world_on
from tests.cluster.apiserver import ApiServer
from tests.faults import judge

FULL = os.environ.get("FAULTS") == "full"
LEAST_EDITS = 5_000 if FULL else 100
# After so many steps everything must be as it is rendered. A cluster cannot be put back as it
# was, so a failed run is not reduced: only its log of the steps remains.
RUN = settings(
    stateful_step_count=50,
    max_examples=220 if FULL else 6,
    phases=[Phase.generate],
    derandomize=not FULL,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
# How long an operator lives at least.
STEADY_STEPS = 20
NAMES = ("left", "right")
SCRATCH = "rendered"
SPECS: tuple[dict[str, Any], ...] = (
    {},
    {"image": "registry.test/shop:2"},
    {"redis": {}},
    {"postgres": {"migrations": {}}, "redis": {}},
    {"scaling": {"replicas": 3}},
    {"scaling": {"maxReplicas": 7}, "proxy": {"engine": "None"}},
    {"env": [{"name": "GREETING", "value": "hello"}]},
    {"background": [{"name": "mail", "command": ["celery"]}], "queue": {}},
    {"server": {"engine": "Gunicorn"}},
)
# Lost credentials and volumes are reported, and not created again; records prove releases.
_UNTOUCHED = frozenset({SECRET.kind, PERSISTENT_VOLUME_CLAIM.kind, CONTROLLER_REVISION.kind})
EDITED = tuple(
    kind
    for kind in OWNED
    if kind.kind not in (*_UNTOUCHED, "CronJob", "Ingress")
    and (not kind.optional or kind.kind == "ServiceMonitor")
)
A_NAME = st.sampled_from(NAMES)
# Of the first kind that is looked through, and of an object or field among those there are.
A_KIND, A_NUMBER = st.integers(0, len(EDITED) - 1), st.integers(0, 2**16)
# Elements of lists are identified by these: with another value, an element belongs to others.
_KEYS = frozenset(
    {"name", "containerPort", "port", "protocol", "mountPath", "topologyKey", "whenUnsatisfiable"}
)
_DEFINITION = f"{DEFINITIONS}/{MONITOR_CRD['metadata']['name']}"


@pytest.fixture
def collected_world() -> Iterator[World]:
    """A namespace with garbage collection, and without other controllers."""
    name = f"edits-{os.getpid()}"
    with ApiServer(name) as server:
        kube = Kube(server.kubeconfig)
        install_crd(kube)
        kube.apply(_DEFINITION, MONITOR_CRD)
        kube.request("POST", "/api/v1/namespaces", {"metadata": {"name": SCRATCH}})
        # After the CRDs: the collector looks for new kinds each half minute alone.
        ApiServer(name, controllers=("garbage-collector-controller",)).start()
        with world_on(server) as world:
            yield world


def test_random_edits_end_in_the_rendered_state(
    collected_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The brakes are for edits without an end, and have their own tests.
    monkeypatch.setattr(brakes, "DELETES_A_MINUTE", 10**6)
    monkeypatch.setattr(brakes, "LOOP_WRITES", 10**6)
    collected_world.start(build=build_desired_state)
    done: Counter[str] = Counter()

    class Machine(Edits):
        def __init__(self) -> None:
            print(f"{done.total()} edits: {dict(done)}")
            super().__init__(collected_world, done)

    run_state_machine_as_test(Machine, settings=RUN)
    print(f"{done.total()} edits: {dict(done)}")
    assert done.total() >= LEAST_EDITS, done
    assert all(done[edit] for edit in ("edit the spec", "delete a child", "replace a field")), done


class Edits(RuleBasedStateMachine):
    """Two services, their owners, others who edit by hand, and the operator.

    The drawn edits never depend on the live objects: a number points at one of the objects or
    fields of that moment. An edit that finds nothing, or that the API server refuses,
    does not count.
    """

    def __init__(self, world: World, done: Counter[str]) -> None:
        super().__init__()
        self.world = world
        self.done = done
        self.specs: dict[str, dict[str, Any]] = {}
        self.foreign: set[str] = set()
        self.given_away: set[str] = set()
        self.since_restart = 0
        for name in NAMES:
            self._apply(name, {})

    # Owners ------------------------------------------------------------------------------------

    @rule(name=A_NAME, spec=st.sampled_from(SPECS))
    def edit_the_spec(self, name: str, spec: dict[str, Any]) -> None:
        self._apply(name, spec)
        self._count("edit the spec")

    @rule(name=A_NAME)
    def suspend(self, name: str) -> None:
        self._apply(name, {**self.specs.get(name, {}), "suspend": True})
        self._count("suspend")

    @rule(name=A_NAME)
    def delete_the_service(self, name: str) -> None:
        self.world.kube.delete(self.world.path("fastapiservices", name))
        self._count("delete the service", self.specs.pop(name, None) is not None)

    # Others ------------------------------------------------------------------------------------

    @rule(kind=A_KIND, number=A_NUMBER)
    def delete_a_child(self, kind: int, number: int) -> None:
        for path, _ in self._child(kind, number):
            self.world.kube.delete(path, propagationPolicy="Background")
            self._count("delete a child")

    @rule(kind=A_KIND, number=A_NUMBER, field=A_NUMBER)
    def edit_a_field(self, kind: int, number: int, field: int) -> None:
        self._change_a_field("replace", kind, number, field)

    @rule(kind=A_KIND, number=A_NUMBER, field=A_NUMBER)
    def remove_a_field(self, kind: int, number: int, field: int) -> None:
        self._change_a_field("remove", kind, number, field)

    @rule(kind=A_KIND, number=A_NUMBER)
    def take_the_owner_away(self, kind: int, number: int) -> None:
        change = {"op": "remove", "path": "/metadata/ownerReferences"}
        for path, body in self._child(kind, number):
            # Without owner and label it would be a stranger's, which is reported and not repaired.
            if body["metadata"].get("labels", {}).get(naming.SERVICE_LABEL) in NAMES:
                self._count("take the owner away", self._patch(path, change))
                self.given_away.add(path)

    @rule(kind=A_KIND, number=A_NUMBER)
    def annotate(self, kind: int, number: int) -> None:
        note = {"metadata": {"annotations": {"example.com/team": f"{self.done.total()}"}}}
        for path, _ in self._child(kind, number):
            self._count("annotate", _accepted(lambda path=path: self.world.kube.patch(path, note)))

    @rule(name=A_NAME)
    def make_an_object_with_its_labels(self, name: str) -> None:
        own = f"{name}-mine-{self.done.total()}"
        labels = {naming.SERVICE_LABEL: name, naming.WATCHED_LABEL: "true"}
        body = {"metadata": {"name": own, "labels": labels}, "data": {"whose": "mine"}}
        self.world.kube.request("POST", self.world.path("configmaps"), body)
        self.foreign.add(own)
        self._count("make an object with its labels")

    @precondition(lambda self: self.since_restart >= STEADY_STEPS)
    @rule()
    def restart_the_operator(self) -> None:
        self.world.operators.pop().stop()
        self.world.start(build=build_desired_state)
        self.since_restart = 0
        self._count("restart the operator")

    @rule()
    def controllers_work(self) -> None:
        _accepted(self.world.finish_rollouts)
        for job in self.world.kube.items(self.world.path("jobs")):
            if not job.get("status", {}).get("conditions"):
                _accepted(lambda job=job: self.world.finish_job(job["metadata"]["name"]))

    @invariant()
    def time_passes(self) -> None:
        self.since_restart += 1

    # The end -----------------------------------------------------------------------------------

    def teardown(self) -> None:
        """Waits until all changes are complete, and compares the objects with the rendered ones."""
        for name in NAMES:
            spec = {k: v for k, v in self.specs.get(name, {}).items() if k != "suspend"}
            self._apply(name, spec)
        left: list[str] = []

        def settled() -> bool:
            self.controllers_work()
            left[:] = [] if all(map(self.world.is_ready, NAMES)) else ["not Ready"]
            left[:] = left or self._differences()
            return not left

        try:
            eventually(settled, within=90)
        except AssertionError as error:
            messages = [self.world.condition("Ready", name).get("message") for name in NAMES]
            raise AssertionError(f"{left[:10]}; {messages}") from error
        for own in self.foreign:
            assert self.world.get("configmaps", own), f"{own} was not the operator's to delete"
            self.world.kube.delete(self.world.path("configmaps", own))
        for path in self.given_away:
            body = self.world.kube.get(path)
            if body is not None and not _owners(body):
                self.world.kube.delete(path, propagationPolicy="Background")

    def _differences(self) -> list[str]:
        live = {
            kind.path(self.world.namespace, body["metadata"]["name"]): body
            for kind, body in judge.live(self.world.kube, [self.world.namespace])
            if kind not in (JOB, CONTROLLER_REVISION)
            and body["metadata"]["name"].startswith(NAMES)
            and body["metadata"]["name"] not in self.foreign
        }
        found = []
        for name in NAMES:
            for desired in self._rendered(name):
                key = desired.key
                path = owned_kind(key.group, key.kind).path(self.world.namespace, key.name)
                body = live.pop(path, None)
                found += [f"missing: {key}"] if body is None else self._unequal(desired, body)
        # A retained object has no owner; nor has one of a service that no longer needs it.
        kept = {path for path in self.given_away if path in live and not _owners(live[path])}
        return found + [
            f"too much: {path}"
            for path in live
            if path not in kept and not re.search(r"/(secrets|persistentvolumeclaims)/", path)
        ]

    def _rendered(self, name: str) -> list[Desired]:
        body = self.world.service(name)
        body["metadata"].setdefault("annotations", {})
        facts = Facts(
            kubernetes=_version(self.world.kube),
            apis=frozenset({"monitoring.coreos.com/v1/ServiceMonitor"}),
        )
        settings = Settings(watch_namespaces=(self.world.namespace,))
        return [
            item
            for item in build_desired_state(body, settings, facts).objects
            if item.key.kind != JOB.kind
        ]

    def _unequal(self, desired: Desired, live: dict[str, Any]) -> list[str]:
        """Compares with the object that the API server would create from the rendered one."""
        kind = owned_kind(desired.key.group, desired.key.kind)
        body = copy.deepcopy(dict(desired.body))
        body["metadata"] = {**body["metadata"], "namespace": SCRATCH}
        wanted = self.world.kube.request("POST", kind.path(SCRATCH), body, dryRun="All")
        if desired.generate is not None:
            keys = desired.generate.keys
            wanted["data"] = dict.fromkeys(keys, "")
        pair = [_comparable(kind, item, desired) for item in (live, wanted)]
        differences = judge.differences({str(desired.key): pair[0]}, {str(desired.key): pair[1]})
        owners = [owner["uid"] for owner in _owners(live)]
        service = self.world.service(desired.body["metadata"]["labels"][naming.SERVICE_LABEL])
        if owners != ([] if desired.retain else [service["metadata"]["uid"]]):
            differences.append(f"{desired.key} belongs to {owners}")
        return differences

    # Around ------------------------------------------------------------------------------------

    def _apply(self, name: str, spec: dict[str, Any]) -> None:
        self.specs[name] = spec
        eventually(lambda: _accepted(lambda: self.world.apply(name, **spec)))

    def _count(self, edit: str, happened: bool = True) -> None:
        self.done[edit] += happened

    def _change_a_field(self, change: str, kind: int, number: int, field: int) -> None:
        for target, body in self._child(kind, number, but=JOB):
            if leaves := list(_leaves(_owned(body), "")):
                path, value = leaves[field % len(leaves)]
                operation: dict[str, Any] = {"op": change, "path": path}
                if change == "replace":
                    operation["value"] = _other(value)
                self._count(f"{change} a field", self._patch(target, operation))

    def _child(
        self, first: int, number: int, *, but: Kind | None = None
    ) -> list[tuple[str, dict[str, Any]]]:
        """An object with its path, of the first kind that has any; at most one."""
        kinds = (*EDITED[first:], *EDITED[:first])
        for kind in (kind for kind in kinds if kind is not but):
            items = self.world.kube.items(kind.path(self.world.namespace))
            if owned := [body for body in items if _owners(body)]:
                body = owned[number % len(owned)]
                return [(kind.path(self.world.namespace, body["metadata"]["name"]), body)]
        return []

    def _patch(self, path: str, change: dict[str, Any]) -> bool:
        return _accepted(
            lambda: self.world.kube.request(
                "PATCH",
                path,
                [change],
                content_type="application/json-patch+json",
                fieldManager="somebody",
            )
        )


def _owners(body: dict[str, Any]) -> list[dict[str, Any]]:
    return body["metadata"].get("ownerReferences") or []


def _accepted(work: Any) -> bool:
    try:
        work()
    except RefusedError as error:
        assert error.status in (400, 404, 409, 422), error
        return False
    return True


def _owned(body: dict[str, Any]) -> dict[str, Any]:
    """The fields of a live object that the operator wrote, as far as they may be edited."""
    labels = {"labels": body["metadata"].get("labels", {})}
    ours = {key: body[key] for key in ("spec", "data") if body.get(key)}
    entries = body["metadata"]["managedFields"]
    applied = (entry for entry in entries if entry["operation"] == "Apply")
    fields = next((e["fieldsV1"] for e in applied if e["manager"] == naming.FIELD_MANAGER), None)
    if fields is None:
        return {}
    return {
        "metadata": _written(labels, fields.get("f:metadata", {})),
        **{key: _written(value, fields.get(f"f:{key}", {})) for key, value in ours.items()},
    }


def _written(value: Any, fields: dict[str, Any]) -> Any:
    """The part of a value that is in a managedFields entry; other elements of lists are None."""
    if not fields:
        return value
    if isinstance(value, dict):
        return {
            key: _written(below, fields[f"f:{key}"])
            for key, below in value.items()
            if f"f:{key}" in fields
        }
    return [_element(element, fields) for element in value] if isinstance(value, list) else value


def _element(element: Any, fields: dict[str, Any]) -> Any:
    for key, below in fields.items():
        if key.startswith("k:") and json.loads(key[2:]).items() <= element.items():
            return _written(element, below)
    return None


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Every single value with its JSON pointer, except those that identify elements."""
    if isinstance(value, dict):
        for key, below in value.items():
            if key not in _KEYS:
                yield from _leaves(below, f"{path}/{key.replace('~', '~0').replace('/', '~1')}")
    elif isinstance(value, list):
        for number, below in enumerate(value):
            yield from _leaves(below, f"{path}/{number}")
    elif value is not None:
        yield path, value


def _other(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    return value + 1 if isinstance(value, int) else f"{value}x"


def _comparable(kind: Kind, body: dict[str, Any], desired: Desired) -> dict[str, Any]:
    """The meaning of an object, without the additions of others."""
    found = judge.meaning(kind, body)
    wanted = desired.body["metadata"]
    found["metadata"] = {
        part: {key: found["metadata"].get(part, {}).get(key) for key in wanted.get(part, {})}
        for part in ("labels", "annotations")
    }
    if kind is DEPLOYMENT and desired.hands_over_replicas:
        found["spec"].pop("replicas", None)
    template = (found.get("spec") or {}).get("template")
    if isinstance(template, dict):
        mine = {k: v for k, v in template["metadata"]["annotations"].items() if v != "…"}
        template["metadata"]["annotations"] = mine
    return found


def _version(kube: Kube) -> str:
    answer = kube.request("GET", "/version")
    return f"{answer['major']}.{str(answer['minor']).rstrip('+')}"
