"""Argo CD's own controller syncs the operator, its definition and services from a Git tree.

Nothing runs the pods: the tests play the kubelet and the controllers of workloads, and start an
operator when its Deployment arrives. All else is Argo CD's, with the check and the Applications of
manifests/gitops/argocd.
"""

import datetime
import functools
import itertools
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from fastapi_operator.reconcile.plan.desired_state import build_desired_state
from tests.api.kube import Kube, service_body
from tests.api.test_migrations import jobs
from tests.api.world import World, eventually, install_crd
from tests.charts.conftest import OPERATOR, ROOT
from tests.cluster.apiserver import ApiServer
from tests.demo.story import OPERATOR_NAMESPACE
from tests.full import argo_cd
from tests.full.argo_cd import Application, State, Tree
from tests.full.conftest import DEFINITION, RELEASE
from tests.full.proved import FIGURE
from tests.judges import modules

pytestmark = [pytest.mark.api, pytest.mark.timeout(420)]

# The namespace of the shipped Application of services.
TEAM = "team-a"
_DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
# The garbage collector looks for new kinds each half minute.
COLLECTED_SECONDS = 90.0
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def argo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ApiServer, Path, str]]:
    """An API server with Argo CD, the folder of its Git server, and the address of that."""
    argo_cd.require()
    folder = tmp_path_factory.mktemp("argo-cd")
    controllers = (
        "garbage-collector-controller",
        "namespace-controller",
        "disruption-controller",
        "persistentvolumeclaim-protection-controller",
    )
    with (
        ApiServer(f"argo-{os.getpid()}", controllers=controllers) as server,
        argo_cd.running(server, folder) as address,
    ):
        yield server, folder / "git", address


@pytest.fixture
def kube(argo: tuple[ApiServer, Path, str]) -> Iterator[Kube]:
    """Yields the way to the API server; Applications, services and their namespaces are removed."""
    kube = Kube(argo[0].kubeconfig)
    yield kube
    for body in kube.items(argo_cd.APPLICATIONS):
        argo_cd.forget(kube, body["metadata"]["name"])
    paths = [f"{_DEFINITIONS}/{DEFINITION}"]
    paths += [f"/api/v1/namespaces/{name}" for name in (TEAM, OPERATOR_NAMESPACE)]
    for path in paths:
        kube.delete(path)
    eventually(lambda: not any(kube.get(path) for path in paths), within=60)


@pytest.fixture
def tree(argo: tuple[ApiServer, Path, str]) -> Tree:
    """A new repository."""
    _, folder, address = argo
    return Tree(folder / f"platform-{next(_numbers)}", address)


@pytest.fixture
def team(argo: tuple[ApiServer, Path, str], kube: Kube) -> Iterator[World]:
    """The namespace of services, which Argo CD makes; its operators stop after the test."""
    server = argo[0]
    world = World(kube, server.kubeconfig, TEAM, server.audit_log)
    yield world
    for operator in world.operators:
        operator.stop()


def service(name: str = "shop", *, wave: int | None = None, **spec: Any) -> str:
    """A file with a service, as in a repository: without its namespace."""
    body = service_body(name, TEAM, **spec)
    del body["metadata"]["namespace"]
    if wave is not None:
        body["metadata"]["annotations"] = {"argocd.argoproj.io/sync-wave": str(wave)}
    return yaml.safe_dump(body)


def application(tree: Tree, name: str, path: str, **sync_policy: Any) -> dict[str, Any]:
    """An Application of a folder, which syncs by itself."""
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "metadata": {"name": name, "namespace": argo_cd.NAMESPACE},
        "spec": {
            "project": "default",
            "source": {"repoURL": tree.address, "targetRevision": "main", "path": path},
            "destination": {"server": argo_cd.SERVER, "namespace": TEAM},
            "syncPolicy": {
                "automated": {"prune": True, "selfHeal": True},
                "syncOptions": ["CreateNamespace=true", "ServerSideApply=true"],
                **sync_policy,
            },
        },
    }


def shipped(tree: Tree) -> Iterator[dict[str, Any]]:
    """The Applications of manifests/gitops/argocd, with this repository."""
    text = (ROOT / "manifests/gitops/argocd/applications.yaml").read_text()
    for body in yaml.safe_load_all(text):
        body["spec"]["source"]["repoURL"] = tree.address
        yield body


def run_operator(team: World) -> None:
    """Plays the node: the operator runs once its Deployment is there."""
    system = World(team.kube, team.kubeconfig, OPERATOR_NAMESPACE, team.audit_log)

    eventually(lambda: system.get("deployments", RELEASE), within=180)
    system.finish_rollouts()
    team.start(build=build_desired_state)


def stays_in_sync(application: Application, team: World) -> None:
    """Compares three times: nothing differs, and neither side writes."""
    since, synced = team.mark(), application.status()["history"]
    for _ in range(3):
        application.refresh(hard=True)
        time.sleep(2)
        application.until(sync="Synced", health="Healthy", operation="Succeeded", within=1)
    assert application.status()["history"] == synced
    assert team.writes(since) == []


def never_degraded(course: list[State]) -> bool:
    """Whether no service and no sync was reported as failed; a new definition is, for a moment."""
    health = {one for state in course for one in state.services}
    return not {"Degraded", "Failed", "Error"} & (health | {state.operation for state in course})


def test_operator_definition_and_services_in_one_application_come_stay_and_go(
    team: World, tree: Tree, record_property: Callable[[str, object], None]
) -> None:
    files = {
        "all/operator.yaml": (ROOT / "manifests/install.yaml").read_text(),
        "all/shop.yaml": service(postgres={}, redis={}),
    }
    tree.commit(files)
    everything = argo_cd.apply(team.kube, application(tree, "everything", "all"))
    with argo_cd.followed(everything) as course:
        eventually(lambda: team.kube.get(team.path("fastapiservices", "shop")), within=180)
        # Applied, but no operator has seen it.
        everything.until(sync="Synced", operation="Succeeded")
        everything.refresh()
        assert everything.health_of("FastAPIService", "shop") == {
            "status": "Progressing",
            "message": "waiting for the operator",
        }
        run_operator(team)
        team.until_ready(within=60)
        everything.until(sync="Synced", health="Healthy")
        print(*course, sep="\n")
        assert never_degraded(course), course
        stays_in_sync(everything, team)

        # A change is not Healthy before it is rolled out.
        files["all/shop.yaml"] = service(image="registry.test/shop:2", postgres={}, redis={})
        changed = tree.commit(files)
        del course[:]
        everything.refresh()
        eventually(lambda: everything.status()["sync"]["revision"] == changed, within=60)
        everything.until(sync="Synced", operation="Succeeded", health="Progressing")
        time.sleep(5)
        assert everything.state().health == "Progressing"
        del course[:]
        team.until_ready(within=60)
        everything.until(sync="Synced", health="Healthy")
        assert {state.health for state in course} <= {"Progressing", "Healthy"}, course

    began = time.monotonic()
    everything.delete(within=COLLECTED_SECONDS)
    # Argo CD never deletes a definition with its Application.
    assert team.kube.get(f"{_DEFINITIONS}/{DEFINITION}") is not None
    assert team.get("fastapiservices", "shop") is None
    eventually(lambda: left(team) == [], within=COLLECTED_SECONDS)
    seconds = time.monotonic() - began
    record_property(FIGURE, f"operator and service gone after {seconds:.0f} s")


def left(team: World) -> list[str]:
    """Objects of services that are left; docs/uninstall.md names those that are retained."""
    kinds = ("deployments", "statefulsets", "services", "configmaps", "horizontalpodautoscalers")
    return [
        f"{kind}/{body['metadata']['name']}"
        for kind in kinds
        for body in team.kube.items(team.path(kind))
    ]


def test_the_shipped_applications_come_in_any_order_and_prune(team: World, tree: Tree) -> None:
    chart = {
        str(path.relative_to(ROOT)): path.read_text()
        for path in OPERATOR.rglob("*")
        if path.is_file()
    }
    services = {"services/shop.yaml": service(), "services/blog.yaml": service("blog")}
    tree.commit(chart | services)
    operator, apps = shipped(tree)
    # The worst order: no definition is there yet.
    team_app = argo_cd.apply(team.kube, apps)
    eventually(lambda: team_app.status().get("operationState"), within=60)
    operator_app = argo_cd.apply(team.kube, operator)
    run_operator(team)
    for name in ("shop", "blog"):
        eventually(functools.partial(team.get, "fastapiservices", name), within=120)
        team.until_ready(name, within=60)
    for found in (operator_app, team_app):
        found.until(sync="Synced", health="Healthy", operation="Succeeded")
        found.refresh(hard=True)
        time.sleep(2)
        found.until(sync="Synced", health="Healthy", operation="Succeeded", within=1)
    stays_in_sync(team_app, team)

    del services["services/blog.yaml"]
    tree.commit(chart | services)
    team_app.refresh()
    eventually(lambda: team.get("fastapiservices", "blog") is None, within=COLLECTED_SECONDS)
    eventually(lambda: team.get("deployments", "blog") is None, within=COLLECTED_SECONDS)
    team_app.until(sync="Synced", health="Healthy")
    assert team.is_ready("shop")


def test_a_failed_migration_stops_the_next_wave_until_a_commit_corrects_it(
    team: World, tree: Tree
) -> None:
    install_crd(team.kube)

    def files(retry: str) -> Mapping[str, str]:
        database = {"migrations": {"retry": retry}}
        return {
            "services/shop.yaml": service(wave=0, postgres=database),
            "services/blog.yaml": service("blog", wave=1),
        }

    tree.commit(files("1"))
    # Without `refresh`, Argo CD repeats the failed commit before it reads the next one.
    retry = {"limit": 20, "refresh": True, "backoff": {"duration": "2s", "maxDuration": "5s"}}
    body = application(tree, "waves", "services", retry=retry)
    waves = argo_cd.apply(team.kube, body)
    eventually(lambda: team.get("fastapiservices", "shop"), within=60)
    team.start(build=build_desired_state)

    first = eventually(lambda: migration_of(team), within=60)
    team.finish_job(first, failed="exit code 1")
    eventually(lambda: team.condition("Stalled").get("reason") == "MigrationFailed")
    waves.until(health="Degraded")
    failed = eventually(lambda: waves.health_of("FastAPIService", "shop"))
    assert failed == {"status": "Degraded", "message": team.condition("Stalled")["message"]}
    assert team.get("fastapiservices", "blog") is None

    tree.commit(files("2"))
    waves.refresh()
    second = eventually(lambda: migration_of(team, first), within=60)
    assert team.get("fastapiservices", "blog") is None
    team.finish_job(second)
    team.until_ready(within=60)
    eventually(lambda: team.get("fastapiservices", "blog"), within=60)
    team.until_ready("blog", within=60)
    waves.until(sync="Synced", health="Healthy", operation="Succeeded")


def migration_of(team: World, *known: str) -> str:
    """The migration's Job that is not known; empty while there is none."""
    team.finish_rollouts()
    found = [name for name in jobs(team) if name not in known]
    return found[0] if found else ""


def test_an_api_that_arrives_in_the_same_sync_never_shows_a_failure(
    team: World, tree: Tree
) -> None:
    install_crd(team.kube)
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": TEAM}}
    team.kube.apply(f"/api/v1/namespaces/{TEAM}", namespace)
    team.start(build=build_desired_state)
    issuer = {"tls": {"issuer": {"name": "ours"}}}
    exposure = {"hosts": ["shop.example.com"], "ingress": {}, **issuer}
    files = {"services/shop.yaml": service(exposure=exposure)}
    definitions = modules.definitions(modules.CERT_MANAGER)
    files["services/cert-manager.yaml"] = yaml.safe_dump_all(definitions)
    tree.commit(files)
    both = argo_cd.apply(team.kube, application(tree, "both", "services"))
    with argo_cd.followed(both) as course:
        eventually(lambda: team.get("fastapiservices", "shop"), within=60)
        issued = f"/apis/cert-manager.io/v1/namespaces/{TEAM}/certificates"
        eventually(lambda: team.kube.get(issued) and team.kube.items(issued), within=120)
        assert team.condition("Stalled")["status"] == "False"
        both.until(sync="Synced", services=frozenset({"Progressing"}))
    print(*course, sep="\n")
    assert never_degraded(course), course
    # No transition: it was never stalled.
    created = team.service()["metadata"]["creationTimestamp"]
    first = datetime.datetime.fromisoformat(team.condition("Stalled")["lastTransitionTime"])
    seconds = (first - datetime.datetime.fromisoformat(created)).total_seconds()
    assert seconds < 3
