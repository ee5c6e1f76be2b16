"""The charts and install.yaml in a real API server: by helm, as an administrator does it.

No node is needed for what is asked here: whether objects are taken, who may do what, and what is
left over. That pods start is the node tier's to show.
"""

import os
import textwrap
import uuid
from collections.abc import Iterable, Iterator

import pytest
import yaml

from fastapi_operator.api.parse import load_services, parse_service
from manifests.generate import rbac
from tests.charts.conftest import OPERATOR, ROOT, SERVICE, Helm, HelmError, only
from tests.cluster.apiserver import ApiServer
from tests.kubectl import Kubectl, eventually

pytestmark = pytest.mark.api

DEFINITION = "fastapiservices.fastapi-operator.io"
IMAGE = {"image": "registry.example.com/shop:1.4.2"}


@pytest.fixture(scope="module")
def server() -> Iterator[ApiServer]:
    with ApiServer(f"charts-{os.getpid()}", controllers=True) as running:
        yield running


@pytest.fixture(scope="module")
def live(helm: Helm, server: ApiServer) -> Helm:
    return Helm(helm.program, server.kubeconfig)


@pytest.fixture(scope="module")
def kubectl(server: ApiServer) -> Kubectl:
    return Kubectl(str(server.programs / "kubectl"), server.kubeconfig)


@pytest.fixture
def namespace(kubectl: Kubectl) -> str:
    name = f"test-{uuid.uuid4().hex[:8]}"
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    kubectl.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
    )
    return name


@pytest.fixture
def installed(live: Helm, kubectl: Kubectl, namespace: str) -> Iterator[str]:
    """The namespace of a default installation, which is removed completely after the test."""
    live.run("install", "platform", OPERATOR, "--namespace", namespace)
    yield namespace
    live.run("uninstall", "platform", "--namespace", namespace, "--ignore-not-found")
    kubectl("delete", "crd", DEFINITION, "--ignore-not-found")


def allowed(
    kubectl: Kubectl, user: str, questions: Iterable[tuple[str, str, str]], namespace: str
) -> set[tuple[str, str, str]]:
    """Returns those of the (group, resource, verb) that a user may do in a namespace."""
    asked = list(questions)
    reviews = [
        {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {
                "user": user,
                "resourceAttributes": {
                    "namespace": namespace,
                    "group": group,
                    "resource": resource.partition("/")[0],
                    "subresource": resource.partition("/")[2],
                    "verb": verb,
                },
            },
        }
        for group, resource, verb in asked
    ]
    texts = "---\n".join(yaml.safe_dump(review) for review in reviews)
    answers = kubectl("create", "-f", "-", "-o", "jsonpath={.status.allowed} ", stdin=texts)
    results = answers.split()
    assert len(results) == len(asked)
    return {question for question, result in zip(asked, results, strict=True) if result == "true"}


def rights(rules: list[rbac.Rule]) -> set[tuple[str, str, str]]:
    """Rules as (group, resource, verb)."""
    return {
        (group, resource, verb)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def test_samples_are_accepted(kubectl: Kubectl, installed: str) -> None:
    arguments = ("--dry-run=server", "--validate=strict", "--namespace", installed)
    kubectl("apply", "-f", str(ROOT / "manifests/samples"), *arguments)


def test_the_operators_account_has_exactly_the_rights_of_the_table(
    kubectl: Kubectl, installed: str
) -> None:
    account = f"system:serviceaccount:{installed}:platform-fastapi-operator"
    rules = rbac.rules()
    services = rights(rules["services"] + rules["resize"] + rules["evict"] + rules["cluster"])
    own = rights(rules["own"])
    other = {
        ("", "nodes", "get"),
        ("", "namespaces", "get"),
        ("", "namespaces", "patch"),
        ("", "pods", "create"),
        ("", "pods", "patch"),
        ("", "pods", "delete"),
        ("", "pods/log", "get"),
        ("", "pods/exec", "create"),
        ("", "users", "impersonate"),
        ("rbac.authorization.k8s.io", "clusterrolebindings", "create"),
        ("fastapi-operator.io", "fastapiservices", "update"),
        ("fastapi-operator.io", "fastapiservices", "patch"),
        ("fastapi-operator.io", "fastapiservices", "delete"),
    }
    everything = services | own | other
    assert allowed(kubectl, account, everything, "default") == services
    assert allowed(kubectl, account, everything, installed) == services | own


def test_limited_to_namespaces_it_has_no_rights_elsewhere(
    live: Helm, kubectl: Kubectl, namespace: str
) -> None:
    team = f"{namespace}-team"
    kubectl("create", "namespace", team)
    values = {"watchNamespaces": [team]}
    live.run("install", "platform", OPERATOR, "--namespace", namespace, values=values)
    try:
        account = f"system:serviceaccount:{namespace}:platform-fastapi-operator"
        rules = rbac.rules()
        pods = rules["resize"] + rules["evict"]
        services, own = rights(rules["services"] + pods + rules["named"]), rights(rules["own"])
        everything = services | own | rights(rules["cluster"])
        assert allowed(kubectl, account, everything, team) == services
        assert allowed(kubectl, account, everything, namespace) == own
        assert allowed(kubectl, account, everything, "default") == set()
    finally:
        live.run("uninstall", "platform", "--namespace", namespace)
        kubectl("delete", "crd", DEFINITION)


def test_editors_of_a_namespace_may_write_its_services(kubectl: Kubectl, installed: str) -> None:
    for role in ("view", "edit"):
        kubectl(
            "create", "rolebinding", role, f"--clusterrole={role}", f"--user={role}",
            "--namespace", installed,
        )  # fmt: skip
    view, edit = rights(rbac.rules()["view"]), rights(rbac.rules()["edit"])
    status = {("fastapi-operator.io", "fastapiservices/status", "patch")}
    everything = view | edit | status
    eventually(
        lambda: allowed(kubectl, "edit", everything, installed) == view | edit,
        seconds=20,
        what="the aggregated role",
    )
    assert allowed(kubectl, "view", everything, installed) == view
    assert allowed(kubectl, "edit", everything, "default") == set()


def test_the_operators_pods_are_admitted_as_restricted(
    live: Helm, kubectl: Kubectl, installed: str
) -> None:
    template = only(live.render(OPERATOR), "Deployment")["spec"]["template"]
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "pod"},
        "spec": template["spec"] | {"serviceAccountName": "default"},
    }
    kubectl(
        "create", "-f", "-", "--dry-run=server", "--validate=strict", "--namespace", installed,
        stdin=yaml.safe_dump(pod),
    )  # fmt: skip


def test_upgrade_and_rollback_change_the_pods(live: Helm, kubectl: Kubectl, installed: str) -> None:
    def image() -> str:
        found = kubectl.json(
            "get", "deployment", "platform-fastapi-operator", "--namespace", installed
        )
        text: str = found["spec"]["template"]["spec"]["containers"][0]["image"]
        return text

    before = image()
    values = {"image": {"tag": "9.9"}}
    live.run("upgrade", "platform", OPERATOR, "--namespace", installed, values=values)
    assert image().endswith(":9.9")
    live.run("rollback", "platform", "1", "--namespace", installed)
    assert image() == before


def test_services_outlive_the_release_and_the_next_one_takes_over(
    live: Helm, kubectl: Kubectl, installed: str
) -> None:
    live.run("install", "shop", SERVICE, "--namespace", installed, values=IMAGE)
    live.run("uninstall", "platform", "--namespace", installed)
    assert kubectl.exists("fastapiservice", "shop", "--namespace", installed)
    with pytest.raises(HelmError, match="invalid ownership metadata"):
        live.run("install", "other", OPERATOR, "--namespace", installed)
    arguments = ("--namespace", installed, "--take-ownership")
    live.run("upgrade", "--install", "other", OPERATOR, *arguments)
    assert kubectl.exists("fastapiservice", "shop", "--namespace", installed)
    live.run("uninstall", "other", "--namespace", installed)


def test_without_the_definition_the_error_is_to_install_the_operator(
    live: Helm, namespace: str
) -> None:
    with pytest.raises(HelmError, match="install the operator first"):
        live.run("install", "shop", SERVICE, "--namespace", namespace, values=IMAGE)


def test_a_namespace_with_services_goes_after_the_operator_has_gone(
    live: Helm, kubectl: Kubectl, installed: str
) -> None:
    live.run("install", "shop", SERVICE, "--namespace", installed, values=IMAGE)
    live.run("uninstall", "platform", "--namespace", installed)
    kubectl("delete", "namespace", installed, "--timeout=60s")


def test_install_yaml_is_applied_and_deleted_as_one(kubectl: Kubectl) -> None:
    path = str(ROOT / "manifests/install.yaml")
    kubectl("apply", "-f", path, "--validate=strict")
    try:
        assert kubectl.exists(
            "deployment", "fastapi-operator", "--namespace", "fastapi-operator-system"
        )
        kubectl("apply", "-k", str(ROOT / "manifests"), "--validate=strict")
    finally:
        kubectl("delete", "-f", path, "--timeout=60s")


@pytest.mark.parametrize("namespaces", [[], ["team"]], ids=["everywhere", "narrowed"])
def test_the_notes_have_a_service_that_works_and_the_order_of_removal(
    live: Helm, namespaces: list[str]
) -> None:
    arguments = ("--dry-run=client", "--namespace", "system")
    values = {"watchNamespaces": namespaces}
    notes = live.run("install", "platform", OPERATOR, *arguments, values=values)
    notes = notes[notes.index("NOTES:") :]
    service = textwrap.dedent(notes[notes.index("<<EOF\n") + 6 : notes.index("EOF\n\n")])
    (body,) = load_services(service)
    parsed, problems = parse_service(body)
    assert parsed is not None, problems
    assert body["metadata"]["namespace"] == (namespaces or ["default"])[0]
    steps = ["delete fastapiservices --all", "helm -n system uninstall platform", "delete crd"]
    places = [notes.index(step) for step in steps]
    assert places == sorted(places)
