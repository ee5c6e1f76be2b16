"""Properties of the objects of every service, checked on all golden cases."""

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest

from fastapi_operator import naming
from fastapi_operator.api.workload import Network
from fastapi_operator.facts import Facts
from fastapi_operator.parts import Part
from fastapi_operator.resources.build import build
from fastapi_operator.resources.desired import Desired, Gate, Write
from fastapi_operator.resources.inputs import Inputs
from fastapi_operator.resources.network import flows
from tests.golden.cases import CASES, Case, load, templates

# Parts whose pods run the user's image.
USERS_CODE = (
    Part.APP,
    Part.CANARY,
    Part.BACKGROUND,
    Part.SCHEDULES,
    Part.PREFLIGHT,
    Part.MIGRATION,
)

pytestmark = pytest.mark.parametrize("case", [load(name) for name in CASES], ids=CASES)


def containers(template: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    pod = template["spec"]
    return [*pod.get("initContainers", ()), *pod["containers"]]


def users_own(case: Case) -> set[str]:
    """Returns the names of containers and volumes in the user's spec."""
    spec = case.service.spec
    migrations = spec.postgres.migrations if spec.postgres else None
    volumes = (*(spec.volumes or ()), *((migrations.volumes if migrations else None) or ()))
    parts = (*(spec.init_containers or ()), *(spec.containers or ()), *volumes)
    return {part["name"] for part in parts}


def _part_behind(case: Case, service: Desired) -> Part:
    """Returns the part whose pods a Service selects; a load balancer belongs to the exposure."""
    if service.part is not Part.EXPOSURE:
        return service.part
    return Part.PROXY if case.plan.proxy else Part.APP


def _runs_database(case: Case) -> bool:
    """Returns whether the database is managed."""
    postgres = case.service.spec.postgres
    return postgres is not None and postgres.mode in (None, "Managed")


def _is_cluster(case: Case) -> bool:
    """Returns whether CloudNativePG runs the database, whose pods are not built here."""
    postgres = case.service.spec.postgres
    return postgres is not None and postgres.mode == "CloudNativePG"


def _restored(case: Case) -> set[str]:
    """Returns the claim with another service's dumps."""
    postgres = case.service.spec.postgres
    return {postgres.restore_from.claim} if postgres and postgres.restore_from else set()


def _certificates(case: Case) -> set[str | None]:
    """Returns the Secrets that users or cert-manager create."""
    return {case.plan.exposure.certificate} if case.plan.exposure else set()


def test_same_service_builds_same_bytes(case: Case) -> None:
    facts = Facts.from_mapping({"apis": []})
    first, second = (
        json.dumps([item.body for item in build(case.service, case.plan, case.settings, facts)])
        for _ in range(2)
    )
    assert first == second


def test_no_two_objects_share_a_key(case: Case) -> None:
    assert [
        key for key, count in Counter(item.key for item in case.objects).items() if count > 1
    ] == []


def test_objects_have_our_labels_but_no_metadata_of_the_reconciler(case: Case) -> None:
    for item in case.objects:
        metadata = item.body["metadata"]
        ours = {"name", "namespace", "labels"}
        if item.key.kind in ("ServiceAccount", "Service", "Cluster") or item.part is Part.EXPOSURE:
            ours |= {"annotations"} & set(metadata)
        assert set(metadata) == ours, item.key
        assert metadata["namespace"] == case.service.metadata.namespace
        assert naming.labels(case.service.metadata.name, item.part).items() <= (
            metadata["labels"].items()
        ), item.key
        assert len(metadata["name"]) <= 63
        assert "status" not in item.body


def test_longest_name_fits_every_object(case: Case) -> None:
    metadata = case.service.metadata.model_copy(update={"name": "a" * naming.NAME_MAX_LENGTH})
    service = case.service.model_copy(update={"metadata": metadata})
    for item in build(service, case.plan, case.settings, Facts()):
        assert len(item.key.name) <= 63, item.key


def test_pods_meet_the_restricted_profile(case: Case) -> None:
    for item, template in templates(case):
        pod = template["spec"]
        account = case.service.spec.service_account
        wants_token = item.part in USERS_CODE and account is not None and account.token
        assert pod["automountServiceAccountToken"] is bool(wants_token), item.key
        assert pod["enableServiceLinks"] is False, item.key
        security = pod["securityContext"]
        assert security["runAsNonRoot"] is True
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        assert security.get("runAsUser") == case.settings.run_as_user
        assert security.get("fsGroup") == case.settings.run_as_user
        for container in containers(template):
            admitted = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
            if container["name"] not in users_own(case):
                admitted["readOnlyRootFilesystem"] = True
            assert admitted.items() <= container["securityContext"].items(), item.key
        for volume in pod["volumes"]:
            assert set(volume) - {"name"} <= {
                *("configMap", "emptyDir", "persistentVolumeClaim", "projected"),
            }


def test_containers_set_their_command_and_their_resources(case: Case) -> None:
    for item, template in templates(case):
        for container in containers(template):
            # Only the app runs the image's own command, if the spec has an empty one.
            own = case.service.spec.command == () and container["name"] == "app"
            assert own or container["command"], item.key
            assert container["image"]
            assert container["name"] in users_own(case) or container["imagePullPolicy"]
            assert set(container["resources"]["requests"]) == {"cpu", "memory"}, item.key
            assert "memory" in container["resources"]["limits"], item.key


def test_shells_never_see_a_kubernetes_escape(case: Case) -> None:
    # Kubernetes replaces $$ with $ in commands, so scripts must not use $$.
    for _, template in templates(case):
        for container in containers(template):
            assert not any("$$" in part for part in container.get("command", ()))


def test_environment_has_each_name_once_and_expands_only_earlier_names(case: Case) -> None:
    for item, template in templates(case):
        for container in containers(template):
            seen: set[str] = set()
            for entry in container.get("env", ()):
                assert entry["name"] not in seen, (item.key, entry["name"])
                value = entry.get("value", "")
                assert isinstance(value, str)
                if "$(" in value:
                    assert value.partition("$(")[2].partition(")")[0] in seen, entry
                seen.add(entry["name"])


def test_mounts_name_volumes_and_volumes_name_objects(case: Case) -> None:
    by_kind = {
        kind: {item.key.name for item in case.of_kind(kind)}
        for kind in ("ConfigMap", "Secret", "PersistentVolumeClaim")
    }
    for item, template in templates(case):
        pod = template["spec"]
        volumes = {volume["name"] for volume in pod["volumes"]}
        mounted = {m["name"] for c in containers(template) for m in c.get("volumeMounts", ())}
        assert mounted == volumes, item.key
        for volume in pod["volumes"]:
            for source in volume.get("projected", {}).get("sources", ()):
                if "configMap" in source:
                    assert source["configMap"]["name"] in by_kind["ConfigMap"]
                else:
                    secret, known = source["secret"], by_kind["Secret"] | _certificates(case)
                    # A program that reads a Secret of the user reports if it is missing.
                    assert secret["name"] in known or secret["optional"]
            claim = volume.get("persistentVolumeClaim")
            if claim and volume["name"] not in users_own(case):
                assert claim["claimName"] in by_kind["PersistentVolumeClaim"] | _restored(case)


def test_references_to_generated_secrets_name_keys_that_are_generated(case: Case) -> None:
    keys = {
        item.key.name: {*item.generate.keys} for item in case.objects if item.generate is not None
    }
    for item, template in templates(case):
        wanted = [
            (reference["name"], reference["key"])
            for container in containers(template)
            for entry in container.get("env", ())
            if (reference := entry.get("valueFrom", {}).get("secretKeyRef"))
        ] + [
            (source["secret"]["name"], file["key"])
            for volume in template["spec"]["volumes"]
            for source in volume.get("projected", {}).get("sources", ())
            if "secret" in source
            for file in source["secret"]["items"]
        ]
        for secret, key in wanted:
            if secret.startswith(f"{case.service.metadata.name}-") and secret in keys:
                assert key in keys[secret], (item.key, secret, key)


def test_selectors_select_only_the_pods_of_their_part(case: Case) -> None:
    pods = {item.key: template["metadata"]["labels"] for item, template in templates(case)}
    parts = {item.key: item.part for item, _ in templates(case)}
    for item, _template in templates(case):
        if item.key.kind not in ("Job", "CronJob"):
            selector = item.body["spec"]["selector"]["matchLabels"]
            chosen = {key for key, labels in pods.items() if selector.items() <= labels.items()}
            assert chosen == {item.key}
    for service in case.of_kind("Service"):
        selector = service.body["spec"]["selector"]
        chosen = {parts[key] for key, labels in pods.items() if selector.items() <= labels.items()}
        is_closed = service.part is Part.CANARY and case.stage is not None and not case.stage.open
        assert chosen == (set() if is_closed else {_part_behind(case, service)})


def test_services_and_monitors_use_ports_that_exist(case: Case) -> None:
    ports = {
        item.part: {port["name"] for c in containers(template) for port in c.get("ports", ())}
        for item, template in templates(case)
    }
    for service in case.of_kind("Service"):
        for port in service.body["spec"]["ports"]:
            assert port["targetPort"] in ports[_part_behind(case, service)], service.key
    for monitor in case.of_kind("ServiceMonitor"):
        offered = {
            port["name"]
            for service in case.of_kind("Service")
            if service.part is Part.APP
            for port in service.body["spec"]["ports"]
        }
        assert {endpoint["port"] for endpoint in monitor.body["spec"]["endpoints"]} <= offered
    for monitor in case.of_kind("PodMonitor"):
        spec = monitor.body["spec"]
        (chosen,) = spec["selector"]["matchExpressions"]
        asked = {endpoint["port"] for endpoint in spec["podMetricsEndpoints"]}
        for part in chosen["values"]:
            if part == Part.DATABASE and _is_cluster(case):
                assert "metrics" in asked, "the name of the port in pods of CloudNativePG"
                continue
            assert len(ports[Part(part)] & asked) == 1, part


def test_service_of_the_bare_name_serves_clients_on_port_80(case: Case) -> None:
    name = case.service.metadata.name
    (entry,) = [item for item in case.of_kind("Service") if item.key.name == name]
    assert _part_behind(case, entry) is (Part.PROXY if case.plan.proxy else Part.APP)
    terminates = case.plan.exposure is not None and case.plan.exposure.terminates
    ports = [port["port"] for port in entry.body["spec"]["ports"]]
    assert ports == ([80, 443] if terminates else [80])


def test_every_part_with_pods_is_isolated_and_every_flow_ends_at_an_open_port(case: Case) -> None:
    policies = {
        item.body["spec"]["podSelector"]["matchLabels"]["app.kubernetes.io/component"]: item.body
        for item in case.of_kind("NetworkPolicy")
    }
    parts = {item.part: template for item, template in templates(case)}
    network = case.service.spec.network or Network()
    isolated = {part.value for part in parts}
    if _is_cluster(case):
        isolated.add(Part.DATABASE.value)
    if network.policies == "Disabled":
        isolated = set()
    assert set(policies) == isolated
    inputs = Inputs(case.service, case.plan, case.settings, Facts())
    table = flows(inputs)
    # Parts that connect to an external server, at any address.
    external = {flow.source for flow in table if flow.target is None}
    for flow in table:
        if flow.target is None or flow.target not in parts:
            continue
        open_ports = {
            port["containerPort"]
            for container in containers(parts[flow.target])
            for port in container.get("ports", ())
        }
        assert flow.port in open_ports, flow
    for part, policy in policies.items():
        if part == Part.PREFLIGHT:
            assert (policy["spec"]["ingress"], policy["spec"]["egress"]) == ([], [])
            continue
        is_open = part in USERS_CODE and network.egress != "Restricted"
        if is_open or (part == Part.DATABASE and _is_cluster(case)):
            # A rule for every address would not match nodes with some network plugins.
            assert policy["spec"]["policyTypes"] == ["Ingress"] and "egress" not in policy["spec"]
            continue
        assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
        everywhere = any(
            "ipBlock" in peer and peer["ipBlock"]["cidr"].endswith("/0")
            for rule in policy["spec"]["egress"]
            for peer in rule.get("to", ())
        )
        assert everywhere is (part in external), part


def test_only_objects_with_data_or_secrets_are_created_once(case: Case) -> None:
    once = {item.key.kind for item in case.objects if item.write is Write.CREATE_ONCE}
    assert once <= {"Secret", "PersistentVolumeClaim", "Job"}
    for item in case.of_kind("Secret"):
        assert item.generate is not None
        assert not {"data", "stringData"} & set(item.body), "no builder sees a value"


def test_data_and_its_credentials_stay_together(case: Case) -> None:
    plan, spec = case.plan, case.service.spec
    for part, runs, section in (
        (Part.DATABASE, plan.postgres, spec.postgres),
        (Part.QUEUE, plan.queue, spec.queue),
    ):
        stays = runs is not None and section is not None and section.deletion_policy != "Delete"
        kept = {item.key.kind for item in case.objects if item.retain and item.part is part}
        # CloudNativePG's own objects go with its Cluster.
        theirs = part is Part.DATABASE and not _runs_database(case)
        data = {"Cluster"} if theirs else {"Secret", "PersistentVolumeClaim"}
        assert kept == (data if stays else set())
        if part is Part.DATABASE:
            dumps = {item.retain for item in case.objects if item.part is Part.BACKUP} - {False}
            assert bool(dumps) is (stays and plan.backup is not None), "dumps stay with the data"
    kept_parts = {item.part for item in case.objects if item.retain}
    assert kept_parts <= {Part.DATABASE, Part.BACKUP, Part.QUEUE}


def test_app_and_parts_of_the_same_version_wait_for_the_migration(case: Case) -> None:
    for item in case.objects:
        version = (Part.APP, Part.BACKGROUND, Part.SCHEDULES, Part.POOLER)
        if item.key.kind in ("Deployment", "StatefulSet", "CronJob") and item.part in version:
            assert item.gate is Gate.MIGRATED
        if item.key.kind == "Job":
            expected = Gate.NONE if item.part is Part.PREFLIGHT else Gate.DATABASE
            assert item.gate is expected


def test_only_the_migration_gets_the_direct_database_url(case: Case) -> None:
    for item, template in templates(case):
        text = json.dumps(template)
        if item.part is not Part.MIGRATION:
            assert "migrator:" not in text
        for container in containers(template):
            for entry in container.get("env", ()):
                if entry["name"] == "DATABASE_URL":
                    pooled = item.part is not Part.MIGRATION and case.plan.pooler is not None
                    server = "-postgres:5432/" if _runs_database(case) else "$(DATABASE_HOST):"
                    assert ("-pooler:5432/" if pooled else server) in entry["value"]


def test_disruption_budgets_never_block_the_drain_of_a_single_pod(case: Case) -> None:
    for budget in case.of_kind("PodDisruptionBudget"):
        selector = budget.body["spec"]["selector"]
        (workload,) = [
            item for item in case.of_kind("Deployment") if item.body["spec"]["selector"] == selector
        ]
        assert workload.body["spec"]["replicas"] > 1 or workload.hands_over_replicas
