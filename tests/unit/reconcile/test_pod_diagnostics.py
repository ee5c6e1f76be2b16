"""The problems of pods, the times of checks, and the masking of credentials."""

import datetime
import itertools
from typing import Any

import pytest

from fastapi_operator.reconcile.observe.observed import Child, Health
from fastapi_operator.reconcile.observe.pod_diagnostics import (
    STARTING_SECONDS,
    PodDiagnostics,
    diagnose,
    is_pod_of,
    pod_selector,
)
from fastapi_operator.reconcile.observe.pod_output import mask_credentials
from fastapi_operator.resources.desired import Desired, ObjectKey
from tests.unit.reconcile.test_queue import Clock
from tests.unit.reconcile.worlds import FAILED, UNREADY, app, child, children, desired, migration

NOW = datetime.datetime(2026, 1, 1, 0, 1, tzinfo=datetime.UTC)


def pod(name: str = "p", **status: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "status": status}


def container(state: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"containerStatuses": [{"name": "app", "state": state, "ready": False, **more}]}


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    return {"waiting": {"reason": reason, "message": message}}


@pytest.mark.parametrize(
    ("status", "reason", "found_text"),
    [
        (container(waiting("ErrImagePull", "no such image")), "ErrImagePull", "no such image"),
        (
            container(
                waiting("CrashLoopBackOff"),
                lastState={"terminated": {"exitCode": 3, "message": "boom"}},
                restartCount=4,
            ),
            "CrashLoopBackOff",
            "exit code 3 after 4 restarts: boom",
        ),
        (
            container(
                waiting("CrashLoopBackOff"),
                lastState={"terminated": {"exitCode": 137, "reason": "OOMKilled"}},
            ),
            "OOMKilled",
            "OOMKilled",
        ),
        (container({"terminated": {"exitCode": 1, "message": "no"}}), "Failed", "no"),
        (container({"running": {}}), "ProbeFailing", "readiness probe"),
        (
            {"conditions": [
                {
                    "type": "PodScheduled",
                    "status": "False",
                    "reason": "Unschedulable",
                    "message": "0/1 nodes",
                }
            ]},
            "Unschedulable",
            "0/1 nodes",
        ),
        (
            {
                "initContainerStatuses": [
                    {"name": "init", "state": waiting("CreateContainerConfigError", "no key")}
                ]
            },
            "CreateContainerConfigError",
            "container init: no key",
        ),
        ({"phase": "Failed", "reason": "Evicted", "message": "low on memory"}, "Evicted", "low"),
    ],
)  # fmt: skip
def test_the_problem_of_a_pod_is_reported(
    status: dict[str, Any], reason: str, found_text: str
) -> None:
    found = diagnose([pod(**status)], NOW)
    assert found is not None
    assert found.reason == reason
    assert found_text in found.message
    assert "pod p" in found.message


def test_a_pod_that_no_node_has_room_for_names_its_requests_and_their_field() -> None:
    def requests(cpu: str) -> dict[str, Any]:
        return {"resources": {"requests": {"cpu": cpu, "memory": "64Mi"}}}

    sidecar = {"name": "reload", "restartPolicy": "Always", **requests("5m")}
    spec = {"containers": [requests("50m")], "initContainers": [sidecar, requests("1")]}
    message = "0/1 nodes are available: 1 Insufficient cpu, 1 Insufficient memory."
    unscheduled = {"type": "PodScheduled", "status": "False", "message": message}
    for part, field in (("app", "spec.resources"), ("pooler", "spec.parts.pooler.resources")):
        found = diagnose(
            [
                {
                    "metadata": {"name": "p", "labels": {"app.kubernetes.io/component": part}},
                    "spec": spec,
                    "status": {"conditions": [unscheduled]},
                }
            ],
            NOW,
        )
        assert found is not None
        assert found.message.endswith(
            f"the pod requests 55m CPU and 128Mi memory: lower {field}.requests, add a "
            "node, or for experiments set spec.profile: development"
        )


@pytest.mark.parametrize(
    "status",
    [
        {},
        container(waiting("ContainerCreating")),
        container(waiting("PodInitializing")),
        container({"terminated": {"exitCode": 0}}),
        {"containerStatuses": [{"name": "app", "state": {"running": {}}, "ready": True}]},
    ],
)
def test_a_starting_pod_has_no_problem(status: dict[str, Any]) -> None:
    assert diagnose([pod(**status)], NOW) is None


def test_the_worst_problem_is_reported() -> None:
    slow = pod("slow", **container({"running": {}}))
    broken = pod("broken", **container(waiting("ImagePullBackOff", "x")))
    found = diagnose([slow, broken, pod("fine")], NOW)
    assert found is not None
    assert found.reason == "ImagePullBackOff"


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("postgresql://app:hunter2@db:5432/app failed", "hunter2"),
        ("postgresql+asyncpg://app:p%40ss:w0rd@db/app", "w0rd"),
        ("redis://:hunter2@cache:6379/0", "hunter2"),
        ("amqp://hunter2@queue", "hunter2"),
        ("PASSWORD=hunter2 was refused", "hunter2"),
        ("password: 'hunter2'", "hunter2"),
        ('api_key="hunter2"', "hunter2"),
    ],
)
def test_credentials_are_masked(text: str, hidden: str) -> None:
    assert hidden not in mask_credentials(text)


def test_other_text_is_not_masked() -> None:
    for text in (
        "cannot open http://host/path@1",
        'secret "shop-token" not found',
        "couldn't find key DATABASE_URL in Secret default/shop",
        "Can't locate revision identified by '3d1a72954bcd'",
        "registry.example.com/shop@sha256:" + "0123456789abcdef" * 4,
    ):
        assert mask_credentials(text) == text


@pytest.mark.parametrize("ready", [{}, {"ready": False}])
def test_a_process_that_exits_with_status_0_gets_a_check_and_a_command(
    ready: dict[str, Any],
) -> None:
    last = {"lastState": {"terminated": {"exitCode": 0, "reason": "Completed"}}, "restartCount": 3}
    body = container(waiting("CrashLoopBackOff"), **last)
    body["containerStatuses"][0] |= ready
    found = diagnose([pod("shop-1", **body)], NOW)
    assert found is not None
    assert "exited with status 0 after 3 restarts" in found.message
    assert "check that its command starts a server or worker in the foreground" in found.message
    assert "kubectl logs shop-1 -c app --previous" in found.message


TEMPLATE = {"spec": {"containers": [{"name": "app", "image": "shop:2", "command": ("serve",)}]}}


def revision(name: str, image: str, created: str, label: str) -> dict[str, Any]:
    status = container(waiting("CrashLoopBackOff"), lastState={"terminated": {"exitCode": 1}})
    return {
        "metadata": {
            "name": name,
            "creationTimestamp": created,
            "labels": {"pod-template-hash": label},
        },
        "spec": {"containers": [{"name": "app", "image": image, "command": ["serve"]}]},
        "status": status,
    }


@pytest.mark.parametrize(
    ("images", "quoted"),
    [
        (("shop:1", "shop:2"), "new"),
        # The wanted revision is the older one after a rollback.
        (("shop:2", "shop:1"), "old"),
        # A policy of the cluster rewrites the image.
        (("mirror/shop:1", "mirror/shop:2"), "new"),
    ],
)
def test_the_quoted_pod_is_of_the_wanted_revision(images: tuple[str, str], quoted: str) -> None:
    pods = [
        revision("old", images[0], "2026-01-01T00:00:00Z", "a"),
        revision("new", images[1], "2026-01-02T00:00:00Z", "b"),
    ]
    for order in (pods, pods[::-1]):
        found = diagnose(order, NOW, TEMPLATE)
        assert found is not None
        assert f"pod {quoted}," in found.message


def test_pods_are_checked_after_three_seconds_and_then_at_growing_intervals() -> None:
    clock = Clock()
    clock.now = 100.0
    diagnostics, deployment = PodDiagnostics(clock=clock), app()[2]
    unready = children(child(deployment, health=UNREADY))
    assert diagnostics.due([deployment], unready) == []
    assert diagnostics.next_in([deployment]) == 3
    times = _looks(diagnostics, clock, deployment, unready, until=3700)
    pauses = [later - earlier for earlier, later in itertools.pairwise(times)]
    young = [pause for pause, time in zip(pauses, times, strict=False) if time < 690]
    assert STARTING_SECONDS + max(young) < 15, "a failing probe is reported within 15 s"
    assert pauses[-1] == 300, "a permanent problem causes one list in five minutes"


def test_a_changed_workload_is_checked_like_a_new_one() -> None:
    clock = Clock()
    diagnostics, deployment = PodDiagnostics(clock=clock), app()[2]
    old = children(child(deployment, health=UNREADY))
    diagnostics.due([deployment], old)
    _looks(diagnostics, clock, deployment, old, until=clock.now + 3600)
    diagnostics.record(deployment.key, Health(False, "CrashLoopBackOff", "boom", failed=True))
    changed = children(child(deployment, health=UNREADY, live_digest="other"))
    assert diagnostics.due([deployment], changed) == []
    assert diagnostics.next_in([deployment]) == 3
    assert diagnostics.findings([deployment]) == {}, "the diagnosis is of the old pods"


def _looks(
    diagnostics: PodDiagnostics,
    clock: Clock,
    item: Desired,
    found: dict[ObjectKey, Child],
    *,
    until: float,
) -> list[float]:
    """When a workload was asked."""
    times = []
    while clock.now < until:
        wait = diagnostics.next_in([item])
        assert wait is not None
        clock.now += wait
        assert diagnostics.due([item], found) == [item]
        diagnostics.record(item.key, None)
        times.append(clock.now)
    return times


def test_a_diagnosis_is_kept_until_the_workload_is_ready() -> None:
    clock = Clock()
    diagnostics, deployment = PodDiagnostics(clock=clock), app()[2]
    unready = children(child(deployment, health=UNREADY))
    diagnostics.due([deployment], unready)
    clock.now += 3
    diagnostics.due([deployment], unready)
    message = Health(False, "CrashLoopBackOff", "boom", failed=True)
    diagnostics.record(deployment.key, message)
    diagnostics.record(deployment.key, None)  # between two crashes a pod just runs
    assert diagnostics.findings([deployment]) == {deployment.key: message}
    diagnostics.due([deployment], children(child(deployment)))
    assert diagnostics.findings([deployment]) == {}
    assert diagnostics.next_in([deployment]) is None


@pytest.mark.parametrize("reason", ["Unschedulable", "ImagePullBackOff", "FailedMount"])
def test_a_problem_that_a_check_no_longer_finds_is_not_reported(reason: str) -> None:
    diagnostics, deployment = PodDiagnostics(clock=Clock()), app()[2]
    diagnostics.due([deployment], children(child(deployment, health=UNREADY)))
    diagnostics.record(deployment.key, Health(False, reason, "0/3 nodes", failed=True))
    diagnostics.record(deployment.key, None)  # the pod starts
    assert diagnostics.findings([deployment]) == {}


def test_a_failed_job_is_checked_at_once_and_until_a_diagnosis_is_found() -> None:
    clock = Clock()
    diagnostics, job = PodDiagnostics(clock=clock), migration("k1")
    failed = children(child(job, health=FAILED))
    assert diagnostics.due([job], failed) == [job]
    diagnostics.record(job.key, Health(False, "Failed", "no", failed=True))
    clock.now += 3600
    assert diagnostics.due([job], failed) == []
    assert diagnostics.next_in([job]) is None


@pytest.mark.parametrize(
    ("started", "since", "found_text"),
    [
        (False, "2026-01-01T00:00:53Z", False),
        (False, "2026-01-01T00:00:52Z", True),
        # The clock of its node is ahead.
        (False, "2026-01-01T00:01:03Z", False),
        (False, "2026-01-01T00:11:00Z", True),
        # Its startup probe has passed: nothing is left to wait for.
        (True, "2026-01-01T00:00:59Z", True),
    ],
)
def test_a_probe_does_not_fail_while_the_pod_starts(
    started: bool, since: str, found_text: bool
) -> None:
    state = {"running": {"startedAt": since}}
    found = diagnose([pod(**container(state, started=started))], NOW)
    assert (found is not None and found.reason == "ProbeFailing") == found_text


@pytest.mark.parametrize(("started", "kind"), [(False, "startup"), (True, "readiness")])
def test_a_failing_probe_is_reported_with_its_path(started: bool, kind: str) -> None:
    probes = {
        f"{name}Probe": {"httpGet": {"path": f"/{name}"}} for name in ("startup", "readiness")
    }
    found = {
        **pod(**container({"running": {}}, started=started)),
        "spec": {"containers": [{"name": "app", **probes}]},
    }
    health = diagnose([found], NOW)
    assert health is not None
    assert f"its {kind} probe GET /{kind} fails" in health.message
    assert f"404 for this path, set spec.server.probes.{kind}" in health.message


def test_a_failing_probe_of_the_runtime_is_reported_with_its_field() -> None:
    probe = {"httpGet": {"path": "/readyz", "port": "probes"}}
    found = {
        **pod(**container({"running": {}}, started=True)),
        "spec": {"containers": [{"name": "app", "readinessProbe": probe}]},
    }
    health = diagnose([found], NOW)
    assert health is not None
    assert "GET /readyz fails on the port of the runtime" in health.message
    assert "set spec.server.probes.source to App" in health.message


def test_pods_are_selected_by_the_workload() -> None:
    labels = {"b": "2", "a": "1"}
    deployment = desired("Deployment", "shop", body={"spec": {"selector": {"matchLabels": labels}}})
    assert pod_selector(deployment) == "a=1,b=2"
    run = {"jobTemplate": {"metadata": {"labels": labels}}}
    assert pod_selector(desired("CronJob", "shop", body={"spec": run})) == "a=1,b=2"
    assert pod_selector(migration("k1")) == "batch.kubernetes.io/job-name=shop-migrate-k1"


@pytest.mark.parametrize(
    ("kind", "controller", "expected"),
    [
        ("Deployment", None, True),
        ("Deployment", ("ReplicaSet", "shop-5d9"), True),
        ("Deployment", ("ReplicaSet", "other-5d9"), False),
        ("Deployment", ("Job", "shop"), False),
        ("StatefulSet", ("StatefulSet", "shop"), True),
        ("StatefulSet", ("StatefulSet", "shop-2"), False),
        ("Job", ("Job", "shop"), True),
        ("CronJob", ("Job", "shop-29384"), True),
        ("CronJob", ("Job", "other-29384"), False),
    ],
)
def test_only_pods_of_the_workload_itself_count(
    kind: str, controller: tuple[str, str] | None, expected: bool
) -> None:
    owners = []
    if controller is not None:
        owners = [{"kind": controller[0], "name": controller[1], "controller": True}]
    labels = {"pod-template-hash": "5d9"}
    pod = {"metadata": {"name": "shop-1", "labels": labels, "ownerReferences": owners}}
    assert is_pod_of(pod, kind, "shop") is expected
