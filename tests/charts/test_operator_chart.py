"""The objects of the operator's chart, with its defaults and other values."""

from typing import Any

import pytest
import yaml

from fastapi_operator.cluster import kinds
from fastapi_operator.settings import Settings
from manifests.generate import rbac
from tests.charts.conftest import OPERATOR, ROOT, Helm, HelmError, Object, of_kind, only

OPENSHIFT = ("--api-versions", "security.openshift.io/v1")
MONITORING = ("--api-versions", "monitoring.coreos.com/v1/ServiceMonitor")
EVERYTHING = {
    "serviceMonitor": {"renderMode": "alwaysRender"},
    "rules": {"renderMode": "alwaysRender"},
    "grafanaDashboards": {"renderMode": "alwaysRender"},
}


def settings_of(objects: list[Object]) -> dict[str, Any]:
    (config,) = [body for body in of_kind(objects, "ConfigMap") if "settings.yaml" in body["data"]]
    loaded: dict[str, Any] = yaml.safe_load(config["data"]["settings.yaml"])
    return loaded


def container_of(objects: list[Object]) -> dict[str, Any]:
    (container,) = only(objects, "Deployment")["spec"]["template"]["spec"]["containers"]
    found: dict[str, Any] = container
    return found


def test_it_passes_strict_lint(helm: Helm) -> None:
    helm.run("lint", "--strict", OPERATOR)


# Definition ------------------------------------------------------------------------------------


def test_the_definition_is_the_generated_one_and_is_kept(helm: Helm) -> None:
    definition = only(helm.render(OPERATOR), "CustomResourceDefinition")
    source = yaml.safe_load((ROOT / "manifests/crds/fastapiservices.yaml").read_text())
    assert definition["spec"] == source["spec"]
    assert definition["metadata"]["name"] == source["metadata"]["name"]
    assert definition["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}


def test_the_definition_can_go_with_the_release_or_stay_out_of_it(helm: Helm) -> None:
    definition = only(helm.render(OPERATOR, {"crds": {"keep": False}}), "CustomResourceDefinition")
    assert "annotations" not in definition["metadata"]
    assert not of_kind(helm.render(OPERATOR, {"crds": {"enabled": False}}), definition["kind"])


# Rights ----------------------------------------------------------------------------------------


def test_by_default_the_operator_has_one_cluster_role(helm: Helm) -> None:
    objects = helm.render(OPERATOR)
    binding = only(objects, "ClusterRoleBinding")
    roles = {body["metadata"]["name"]: body["rules"] for body in of_kind(objects, "ClusterRole")}
    rules = rbac.rules()
    pods = rules["resize"] + rules["evict"]
    assert roles[binding["roleRef"]["name"]] == rules["services"] + pods + rules["cluster"]
    account = only(objects, "ServiceAccount")["metadata"]
    assert binding["subjects"] == [
        {"kind": "ServiceAccount", "name": account["name"], "namespace": account["namespace"]}
    ]
    assert (
        only(objects, "Deployment")["spec"]["template"]["spec"]["serviceAccountName"]
        == account["name"]
    )


def test_with_named_namespaces_it_has_a_role_in_each_and_none_in_the_cluster(helm: Helm) -> None:
    values = {"watchNamespaces": ["one", "two"], "rbac": {"aggregateRoles": False}}
    objects, rules = helm.render(OPERATOR, values), rbac.rules()
    assert not of_kind(objects, "ClusterRole")
    assert not of_kind(objects, "ClusterRoleBinding")
    wide = {
        body["metadata"]["namespace"]: body["rules"]
        for body in of_kind(objects, "Role")
        if body["rules"] == rules["services"] + rules["resize"] + rules["evict"] + rules["named"]
    }
    assert set(wide) == {"one", "two"}
    bound = {body["metadata"]["namespace"] for body in of_kind(objects, "RoleBinding")}
    assert bound == {"one", "two", "system"}
    assert settings_of(objects)["watchNamespaces"] == ["one", "two"]


@pytest.mark.parametrize(("value", "withheld"), [("resizePods", "resize"), ("evictPods", "evict")])
def test_a_right_to_change_pods_can_be_withheld(helm: Helm, value: str, withheld: str) -> None:
    objects, rules = helm.render(OPERATOR, {"rbac": {value: False}}), rbac.rules()
    given = [rule for body in of_kind(objects, "ClusterRole") for rule in body["rules"]]
    for name in ("resize", "evict"):
        assert (rules[name][0] in given) == (name != withheld)


def test_no_rule_has_a_wildcard_and_no_right_is_wider_than_the_kinds_it_writes() -> None:
    rules = rbac.rules()
    for rule in (rule for group in rules.values() for rule in group):
        assert "*" not in rule["verbs"] + rule["resources"] + rule["apiGroups"]
    written = {
        (rule["apiGroups"][0], resource)
        for rule in rules["services"]
        if "delete" in rule["verbs"]
        for resource in rule["resources"]
    }
    assert written == {(kind.group, kind.plural) for kind in kinds.OWNED}


def test_the_clusters_view_edit_and_admin_roles_include_services(helm: Helm) -> None:
    roles = {
        label.rpartition("-")[2]: body["rules"]
        for body in of_kind(helm.render(OPERATOR), "ClusterRole")
        for label in body["metadata"]["labels"]
        if label.startswith("rbac.authorization.k8s.io/aggregate-to-")
    }
    assert set(roles) == {"view", "edit", "admin"}
    writers = [rule for rule in roles["edit"] if "create" in rule["verbs"]]
    assert [rule["resources"] for rule in writers] == [["fastapiservices"]]


def test_without_rbac_there_are_no_bindings(helm: Helm) -> None:
    objects = helm.render(OPERATOR, {"rbac": {"create": False, "aggregateRoles": False}})
    assert not [body for body in objects if "rbac.authorization" in body["apiVersion"]]


# Pods ------------------------------------------------------------------------------------------


def test_pods_meet_the_restricted_standard_and_have_no_cpu_limit(helm: Helm) -> None:
    objects = helm.render(OPERATOR)
    pod, container = only(objects, "Deployment")["spec"]["template"]["spec"], container_of(objects)
    assert pod["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 10001,
        "runAsGroup": 10001,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["resources"] == {
        "requests": {"cpu": "50m", "memory": "96Mi", "ephemeral-storage": "64Mi"},
        "limits": {"memory": "256Mi", "ephemeral-storage": "256Mi"},
    }
    writable = [mount for mount in container["volumeMounts"] if not mount.get("readOnly")]
    assert [mount["mountPath"] for mount in writable] == ["/tmp"]


def test_the_settings_file_is_mounted_where_the_command_reads_it(helm: Helm) -> None:
    objects = helm.render(OPERATOR)
    container = container_of(objects)
    (given,) = [text for text in container["args"] if text.startswith("--settings=")]
    (mount,) = [mount for mount in container["volumeMounts"] if mount["name"] == "settings"]
    assert given == f"--settings={mount['mountPath']}/settings.yaml"
    assert Settings.from_mapping(settings_of(objects)) == Settings()


def test_other_settings_replace_the_pods(helm: Helm) -> None:
    def checksum(values: dict[str, Any]) -> str:
        template = only(helm.render(OPERATOR, values), "Deployment")["spec"]["template"]
        text: str = template["metadata"]["annotations"]["checksum/settings"]
        return text

    assert checksum({}) != checksum({"settings": {"workers": 3}})
    assert checksum({}) == checksum({"podLabels": {"team": "platform"}})


def test_a_null_user_of_services_reaches_the_operator_and_leaves_its_own_pod(helm: Helm) -> None:
    objects = helm.render(OPERATOR, {"settings": {"runAsUser": None}})
    settings = settings_of(objects)
    assert settings["runAsUser"] is None
    assert Settings.from_mapping(settings).run_as_user is None
    pod = only(objects, "Deployment")["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsUser"] == 10001


@pytest.mark.parametrize(
    ("mode", "apis", "named"),
    [
        ("auto", (), True),
        ("auto", OPENSHIFT, False),
        ("always", (), False),
        ("never", OPENSHIFT, True),
    ],
)
def test_on_openshift_no_user_and_no_group_is_named(
    helm: Helm, mode: str, apis: tuple[str, ...], named: bool
) -> None:
    objects = helm.render(OPERATOR, {"openshift": mode}, *apis)
    context = only(objects, "Deployment")["spec"]["template"]["spec"]["securityContext"]
    assert context["runAsNonRoot"] is True
    assert {"runAsUser", "runAsGroup"} <= context.keys() if named else len(context) == 2
    assert (Settings.from_mapping(settings_of(objects)).run_as_user is not None) is named


def test_the_documented_values_of_a_mirror_reach_operator_and_services(helm: Helm) -> None:
    section = (ROOT / "docs/platforms.md").read_text().partition("## Private mirrors")[2]
    values = yaml.safe_load(section.partition("```yaml\n")[2].partition("```")[0])
    objects = helm.render(OPERATOR, values)
    pod = only(objects, "Deployment")["spec"]["template"]["spec"]
    assert pod["imagePullSecrets"] == [{"name": "mirror"}]
    assert container_of(objects)["image"].startswith("mirror.example.com/")
    settings = Settings.from_mapping(settings_of(objects))
    assert settings.images.nginx.reference.startswith("mirror.example.com/library/nginx:")
    assert [secret.name for secret in settings.image_pull_secrets] == ["mirror"]


def test_images_are_pinned_by_digest(helm: Helm) -> None:
    digest = f"sha256:{'a' * 64}"
    values = {
        "image": {"registry": "mirror.example.com:5000", "digest": digest},
        "settings": {"images": {"redis": {"registry": "mirror.example.com", "digest": digest}}},
    }
    objects = helm.render(OPERATOR, values)
    version = yaml.safe_load((OPERATOR / "Chart.yaml").read_text())["appVersion"]
    assert container_of(objects)["image"] == (
        f"mirror.example.com:5000/fastapi-operator/fastapi-operator:{version}@{digest}"
    )
    settings = Settings.from_mapping(settings_of(objects))
    assert settings.images.redis.reference == f"mirror.example.com/library/redis:8.0@{digest}"


def test_an_empty_registry_keeps_the_repository(helm: Helm) -> None:
    objects = helm.render(OPERATOR, {"image": {"registry": "", "repository": "x", "tag": "y"}})
    assert container_of(objects)["image"] == "x:y"


def test_a_single_replica_has_no_disruption_budget(helm: Helm) -> None:
    assert of_kind(helm.render(OPERATOR), "PodDisruptionBudget")
    assert not of_kind(helm.render(OPERATOR, {"replicaCount": 1}), "PodDisruptionBudget")


# Names -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a" * 53, "fastapi-operator-" + "b" * 36, "x"])
def test_no_name_exceeds_the_length_of_a_label(helm: Helm, name: str) -> None:
    values = {**EVERYTHING, "fullnameOverride": name * 2 if len(name) > 1 else ""}
    for chosen in (EVERYTHING, values):
        objects = helm.render(OPERATOR, chosen, release=name)
        for body in objects:
            if body["kind"] != "CustomResourceDefinition":
                assert len(body["metadata"]["name"]) <= 63, body["metadata"]["name"]
            labels = body["metadata"].get("labels", {})
            assert all(len(str(value)) <= 63 for value in labels.values())
        keys = [
            (body["kind"], body["metadata"].get("namespace"), body["metadata"]["name"])
            for body in objects
        ]
        assert len(keys) == len(set(keys))


def test_two_releases_of_named_namespaces_share_no_object(helm: Helm) -> None:
    def keys(release: str) -> set[tuple[str, str, str]]:
        values = {
            "watchNamespaces": ["team"],
            "rbac": {"aggregateRoles": False},
            "crds": {"enabled": False},
        }
        return {
            (body["kind"], body["metadata"].get("namespace", ""), body["metadata"]["name"])
            for body in helm.render(OPERATOR, values, release=release)
        }

    assert not keys("blue") & keys("green")


def test_two_releases_in_one_namespace_have_a_lease_each(helm: Helm) -> None:
    def argument(release: str) -> str:
        deployment = only(helm.render(OPERATOR, release=release), "Deployment")
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        (found,) = [text for text in container["args"] if text.startswith("--lease-name=")]
        return str(found)

    assert argument("blue") != argument("green")


# Monitoring ------------------------------------------------------------------------------------


def test_a_monitor_is_skipped_an_error_or_rendered_if_the_api_is_missing(helm: Helm) -> None:
    def monitors(mode: str, *arguments: str) -> list[Object]:
        values = {"serviceMonitor": {"enabled": True, "renderMode": mode}}
        return of_kind(helm.render(OPERATOR, values, *arguments), "ServiceMonitor")

    assert not monitors("skipIfMissing")
    assert monitors("skipIfMissing", *MONITORING)
    assert monitors("alwaysRender")
    with pytest.raises(HelmError, match=r"does not serve monitoring\.coreos\.com/v1/ServiceMon"):
        monitors("failIfMissing")


def test_the_monitor_finds_the_metrics_service(helm: Helm) -> None:
    objects = helm.render(OPERATOR, EVERYTHING)
    service, monitor = only(objects, "Service"), only(objects, "ServiceMonitor")
    labels = service["metadata"]["labels"]
    assert monitor["spec"]["selector"]["matchLabels"].items() <= labels.items()
    ports = {port["name"] for port in service["spec"]["ports"]}
    assert {endpoint["port"] for endpoint in monitor["spec"]["endpoints"]} <= ports
    pod = only(objects, "Deployment")["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"].items() <= pod.items()


def test_the_dashboard_carries_the_label_of_grafanas_sidecar(helm: Helm) -> None:
    values = {"dashboards": {"annotations": {"grafana_folder": "FastAPI"}, "namespace": "grafana"}}
    (config,) = [
        body
        for body in of_kind(helm.render(OPERATOR, values), "ConfigMap")
        if "service.json" in body["data"]
    ]
    assert config["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert config["metadata"]["annotations"] == {"grafana_folder": "FastAPI"}
    assert config["metadata"]["namespace"] == "grafana"
    # kubectl apply copies the object into an annotation, which is limited to 256 KiB.
    assert len(config["data"]["service.json"]) < 200 * 1024


# Values ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"replicas": 3}, "replicas"),
        ({"settings": {"workerz": 3}}, "workerz"),
        ({"settings": {"workers": 0}}, "workers"),
        ({"image": {"digest": "sha256:abc"}}, "digest"),
        ({"serviceMonitor": {"renderMode": "always"}}, "renderMode"),
        ({"settings": {"images": {"redis": {"digest": "latest"}}}}, "digest"),
    ],
)
def test_a_wrong_value_is_refused_by_name(helm: Helm, values: dict[str, Any], message: str) -> None:
    with pytest.raises(HelmError, match=message):
        helm.render(OPERATOR, values)


def test_as_a_subchart_it_accepts_values_of_the_parent(helm: Helm) -> None:
    values = {"global": {"imageRegistry": "x"}, "enabled": True}
    assert helm.render(OPERATOR, values) == helm.render(OPERATOR)


def test_extra_objects_may_be_mappings_or_texts_with_expressions(helm: Helm) -> None:
    mapping = {
        "apiVersion": "v1",
        "kind": "LimitRange",
        "metadata": {"name": "{{ .Release.Name }}-one"},
    }
    text = "apiVersion: v1\nkind: LimitRange\nmetadata:\n  name: {{ .Release.Name }}-two\n"
    objects = helm.render(OPERATOR, {"extraObjects": [mapping, text]})
    names = [body["metadata"]["name"] for body in of_kind(objects, "LimitRange")]
    assert sorted(names) == ["platform-one", "platform-two"]
