"""Malformed pieces of a pod are found with their path, and no well-formed one is refused."""

from typing import Any

import pytest

from fastapi_operator.api import pod_pieces


def faults(spec: dict[str, Any]) -> list[str]:
    return [str(problem) for problem in pod_pieces.find_malformed(spec)]


def test_every_field_without_a_schema_is_checked() -> None:
    names = {path[-1] for path in pod_pieces.open_paths()}
    assert names - pod_pieces.FOREIGN == set(pod_pieces.TYPES)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"containers": [{"image": "a"}]}, "spec.containers[0].name: is required"),
        ({"containers": ["a"]}, 'spec.containers[0]: "a" must be a mapping'),
        ({"volumes": [{"emptyDir": {}}]}, "spec.volumes[0].name: is required"),
        (
            {"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "keys"}}}]},
            "spec.env[0].valueFrom.secretKeyRef.key: is required",
        ),
        ({"envFrom": [{"configMapRef": {}}]}, "spec.envFrom[0].configMapRef.name: is required"),
        (
            {"env": [{"name": "A", "value": 5}]},
            'spec.env[0].value: 5 must be a string; quote it: "5"',
        ),
        (
            {"env": [{"name": "A", "value": True}]},
            'spec.env[0].value: true must be a string; quote it: "true"',
        ),
        (
            {"background": [{"name": "mail", "env": [{"value": "x"}]}]},
            "spec.background[0].env[0].name: is required",
        ),
        (
            {"podTemplate": {"spec": {"containers": [{"image": "a"}]}}},
            "spec.podTemplate.spec.containers[0].name: is required",
        ),
        (
            {"podTemplate": {"metadata": {"labels": {"tier": 1}}}},
            'spec.podTemplate.metadata.labels.tier: 1 must be a string; quote it: "1"',
        ),
        (
            {"podTemplate": {"spec": {"priority": "high"}}},
            'spec.podTemplate.spec.priority: "high" must be an integer of 32 bits',
        ),
        (
            {"podTemplate": {"spec": {"priority": 2**40}}},
            "spec.podTemplate.spec.priority: 1099511627776 must be an integer of 32 bits",
        ),
        (
            {"volumes": [{"name": "a", "emptyDir": {"sizeLimit": "big"}}]},
            'spec.volumes[0].emptyDir.sizeLimit: "big" must be a quantity, for example 100m or 1Gi',
        ),
        (
            {"network": {"egressTo": [{"ports": 443}]}},
            "spec.network.egressTo[0].ports: 443 must be a list",
        ),
    ],
)
def test_a_malformed_piece_is_found_with_its_path(spec: dict[str, Any], message: str) -> None:
    assert faults(spec) == [message]


@pytest.mark.parametrize(
    "spec",
    [
        {"containers": [{"name": "log", "image": "a", "resources": {"requests": {"cpu": 1}}}]},
        {"podTemplate": {"spec": {"containers": [{"name": "app", "workingDir": "/"}]}}},
        # Merged by mountPath into a mount that has a name.
        {
            "podTemplate": {
                "spec": {
                    "containers": [
                        {"name": "app", "volumeMounts": [{"mountPath": "/tmp", "readOnly": False}]}
                    ]
                }
            }
        },
        {"podTemplate": {"spec": {"hostUsers": False, "newField": [1]}}},
        {"network": {"ingressFrom": [{"namespaceSelector": {}}], "egressTo": [{}]}},
        *(
            {"volumes": [{"name": "a", "emptyDir": {"sizeLimit": size}}]}
            for size in (5, 0.5, "1Gi", "1.5", ".5", "5.", "1e3", "12E6", "100m", "-1", "1Ki", "2k")
        ),
    ],
)
def test_a_well_formed_piece_is_not_refused(spec: dict[str, Any]) -> None:
    assert faults(spec) == []
