"""The operator under the roles that its chart gives it, for each scope: they suffice.

The requests are read from the API server's audit log. The kinds that a cluster may lack have
definitions of the tests' own here, without their real schemas, which are tested elsewhere.
"""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from fastapi_operator.cluster.kinds import CONFIG_MAP, OWNED, SECRET, Kind
from fastapi_operator.reconcile.loop.published_settings import PublishedSettings
from fastapi_operator.reconcile.plan.desired_state import build_desired_state
from tests.api.definitions import DEFINITIONS, definition
from tests.api.kube import Kube, RefusedError, audited
from tests.api.running import RunningOperator
from tests.api.world import World, eventually, install_crd
from tests.charts.conftest import OPERATOR, Helm, chosen_helm
from tests.cluster.apiserver import ApiServer

SYSTEM = "system"
PUBLISHED = PublishedSettings(SYSTEM, "platform-fastapi-operator-effective-settings")


@dataclass(frozen=True)
class Account:
    """The operator's account as one installation of the chart has it.

    Attributes:
        user: Its name in the audit log.
        kubeconfig: With its token.
        rights: Group, resource and verb of every rule.
    """

    user: str
    kubeconfig: Path
    rights: frozenset[tuple[str, str, str]]


@pytest.fixture(scope="module")
def server() -> Iterator[ApiServer]:
    """An API server that serves every kind that the operator may write."""
    with ApiServer(f"api-access-{os.getpid()}") as running:
        kube = Kube(running.kubeconfig)
        install_crd(kube)
        optional = [kind for kind in OWNED if kind.optional]
        for kind in optional:
            body = _definition(kind)
            kube.apply(f"{DEFINITIONS}/{body['metadata']['name']}", body)
        for kind in optional:
            eventually(lambda kind=kind: kube.get(kind.path(None)))
        kube.request("POST", "/api/v1/namespaces", {"metadata": {"name": SYSTEM}})
        yield running


@pytest.mark.parametrize("watched", [(), ("one", "two"), ("only",)], ids=["all", "list", "one"])
def test_an_operator_only_uses_the_namespaces_of_its_chart(
    server: ApiServer, tmp_path: Path, watched: tuple[str, ...]
) -> None:
    served, outside = watched or ("any", "other"), ("aside-from-" + watched[0],) if watched else ()
    kube = Kube(server.kubeconfig)
    worlds = {name: world_named(server, name) for name in (*served, *outside)}
    for world in worlds.values():
        kube.apply(SECRET.path(world.namespace, "private"), _bare(SECRET, "private"))
        world.apply(redis={})
    since = worlds[served[0]].mark()
    with installed(server, tmp_path, watched) as account:
        with operator_of(account, watched):
            for name in served:
                worlds[name].until_ready()
        asked = asked_by(server, since, account)
    assert [entry["requestURI"] for entry in asked if entry["responseStatus"]["code"] == 403] == []
    for entry in asked:
        uri, target = entry["requestURI"], entry.get("objectRef", {})
        own = target.get("resource") == "leases" or target.get("name") == PUBLISHED.name
        if watched and target and not own:
            assert target.get("namespace", target.get("name")) in watched, uri
        if target.get("resource") == "secrets":
            assert target.get("name", "").startswith("shop-") or "watched%3Dtrue" in uri, uri
    for name in outside:
        assert "conditions" not in worlds[name].service().get("status", {})
    for world in worlds.values():
        kube.delete(world.path("fastapiservices", "shop"))


def test_every_authenticated_user_may_read_only_the_published_settings(
    server: ApiServer, tmp_path: Path
) -> None:
    admin = Kube(server.kubeconfig)
    world = world_named(server, "reader")
    with installed(server, tmp_path, ()) as account, operator_of(account, ()):
        path = CONFIG_MAP.path(SYSTEM, PUBLISHED.name)
        published = eventually(lambda: admin.get(path))
        admin.apply(CONFIG_MAP.path(SYSTEM, "other"), _bare(CONFIG_MAP, "other"))
        user = f"/api/v1/namespaces/{world.namespace}/serviceaccounts/default/token"
        token = admin.request("POST", user, {"spec": {}})["status"]["token"]
        config = yaml.safe_load(server.kubeconfig.read_text())
        config["users"][0]["user"] = {"token": token}
        kubeconfig = tmp_path / "reader"
        kubeconfig.write_text(yaml.safe_dump(config))
        reader = Kube(kubeconfig)
        found = eventually(lambda: _readable(reader, path))
        assert found["data"] == published["data"]
        for forbidden in (CONFIG_MAP.path(SYSTEM, "other"), CONFIG_MAP.path(SYSTEM)):
            assert _readable(reader, forbidden) is None
        with pytest.raises(RefusedError, match="403"):
            reader.patch(path, {"data": {"a": "b"}})


def _readable(kube: Kube, path: str) -> dict[str, Any] | None:
    try:
        return kube.get(path)
    except RefusedError as error:
        assert error.status == 403
        return None


# The installation ------------------------------------------------------------------------------


@contextlib.contextmanager
def installed(
    server: ApiServer, folder: Path, watched: tuple[str, ...], **rbac: bool
) -> Iterator[Account]:
    """The account and roles of the chart with values of ``rbac``, and nothing else of it."""
    kube, helm = Kube(server.kubeconfig), Helm(chosen_helm())
    values = {"watchNamespaces": list(watched), "rbac": {"aggregateRoles": False, **rbac}}
    objects = helm.render(OPERATOR, values, namespace=SYSTEM)
    given = {_path(body): body for body in objects if _path(body)}
    for path, body in given.items():
        kube.apply(path, body)
    (account,) = (body for body in given.values() if body["kind"] == "ServiceAccount")
    token = kube.request("POST", f"{_path(account)}/token", {"spec": {}})["status"]["token"]
    config = yaml.safe_load(server.kubeconfig.read_text())
    config["users"][0]["user"] = {"token": token}
    kubeconfig = folder / "account"
    kubeconfig.write_text(yaml.safe_dump(config))
    asks = Kube(kubeconfig)
    for namespace in watched or (None,):
        eventually(lambda namespace=namespace: _may(asks, SECRET.path(namespace)))
    try:
        yield Account(
            user=f"system:serviceaccount:{SYSTEM}:{account['metadata']['name']}",
            kubeconfig=kubeconfig,
            rights=frozenset(
                (group, resource, verb)
                for body in given.values()
                for rule in body.get("rules", ())
                for group in rule["apiGroups"]
                for resource in rule["resources"]
                for verb in rule["verbs"]
            ),
        )
    finally:
        for path in given:
            kube.delete(path)


def _path(body: dict[str, Any]) -> str:
    """The namespace of an object of the account; empty for the rest of the chart."""
    kind, metadata = body["kind"], body["metadata"]
    if kind == "ServiceAccount":
        return f"/api/v1/namespaces/{SYSTEM}/serviceaccounts/{metadata['name']}"
    if not body["apiVersion"].startswith("rbac."):
        return ""
    where = f"namespaces/{metadata['namespace']}/" if "namespace" in metadata else ""
    return f"/apis/{body['apiVersion']}/{where}{kind.lower()}s/{metadata['name']}"


def _may(asks: Kube, path: str) -> bool:
    try:
        asks.items(path)
    except RefusedError:
        return False
    return True


def operator_of(account: Account, watched: tuple[str, ...]) -> RunningOperator:
    return RunningOperator(
        account.kubeconfig,
        namespaces=watched,
        build=build_desired_state,
        lease_namespace=SYSTEM,
        published=PUBLISHED,
    )


# Its requests -----------------------------------------------------------------------------


def asked_by(server: ApiServer, since: int, account: Account) -> list[Any]:
    return [
        entry
        for entry in audited(server.audit_log, since)
        if entry["user"]["username"] == account.user and entry.get("userAgent") != "tests"
    ]


# The world around ------------------------------------------------------------------------------


def world_named(server: ApiServer, name: str) -> World:
    kube = Kube(server.kubeconfig)
    kube.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    account = f"/api/v1/namespaces/{name}/serviceaccounts"
    kube.request("POST", account, {"metadata": {"name": "default"}})
    return World(kube, server.kubeconfig, name, server.audit_log)


def _bare(kind: Kind, name: str) -> dict[str, Any]:
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {"name": name}}


def _definition(kind: Kind) -> dict[str, Any]:
    # Groups of the Kubernetes project ask for it.
    approved = {"api-approved.kubernetes.io": "unapproved, for tests"}
    return definition(kind.group, kind.version, kind.kind, kind.plural, annotations=approved)
