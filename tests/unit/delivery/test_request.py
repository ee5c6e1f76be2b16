"""The service that is applied, its namespace, and the Secrets that it requires."""

import pytest

from fastapi_operator.delivery.request import RequestError, namespace_of, to_apply
from fastapi_operator.delivery.secrets import read_values, required_secrets


@pytest.mark.parametrize(
    ("given", "requested", "expected"),
    [
        ({}, None, "team"),
        ({}, "a", "a"),
        ({"namespace": "b"}, None, "b"),
        ({"namespace": "b"}, "b", "b"),
    ],
)
def test_the_namespace_is_that_of_the_option_the_file_or_the_context(
    given: dict[str, str], requested: str | None, expected: str
) -> None:
    assert namespace_of({"metadata": given}, requested, "team") == expected


def test_two_namespaces_are_refused() -> None:
    with pytest.raises(RequestError, match="is b, but --namespace is a"):
        namespace_of({"metadata": {"namespace": "b"}}, "a", "team")


def test_only_the_fields_of_the_file_and_the_image_are_applied() -> None:
    body = {
        "apiVersion": "fastapi-operator.io/v1alpha1",
        "kind": "FastAPIService",
        "metadata": {"name": "shop", "labels": {"team": "a"}, "uid": "1", "managedFields": []},
        "spec": {"image": "registry.example.com/shop:1", "redis": {}},
        "status": {"url": "x"},
    }
    assert to_apply(body, namespace="team", image="ghcr.io/acme/shop:2") == {
        "apiVersion": "fastapi-operator.io/v1alpha1",
        "kind": "FastAPIService",
        "metadata": {"name": "shop", "labels": {"team": "a"}, "namespace": "team"},
        "spec": {"image": "ghcr.io/acme/shop:2", "redis": {}},
    }
    assert body["spec"] == {"image": "registry.example.com/shop:1", "redis": {}}


def test_secrets_of_every_process_are_required_unless_they_are_optional() -> None:
    def key(secret: str, name: str, **more: bool) -> dict[str, object]:
        return {"name": "X", "valueFrom": {"secretKeyRef": {"name": secret, "key": name, **more}}}

    spec = {
        "env": [
            key("shop", "A"),
            key("shop", "B"),
            key("other", "C", optional=True),
            {"name": "Y"},
        ],
        "envFrom": [{"secretRef": {"name": "all"}}, {"configMapRef": {"name": "plain"}}],
        "background": [{"name": "worker", "env": [key("jobs", "D")]}],
        "schedules": [{"name": "nightly", "env": [key("jobs", "E")]}],
        "postgres": {"migrations": {"env": [key("owner", "F")]}},
    }
    assert required_secrets(spec) == {
        "shop": {"A", "B"},
        "all": frozenset(),
        "jobs": {"D", "E"},
        "owner": {"F"},
    }
    assert required_secrets({"postgres": None, "env": None}) == {}


def test_values_are_read_as_from_a_dotenv_file() -> None:
    text = "# a comment\n\nA=1\nexport B = 'two words'\nC=\"x=y\"\nD=\nE='open\n"
    assert read_values(text) == {"A": "1", "B": "two words", "C": "x=y", "D": "", "E": "'open"}
    text = "A=1  # one\nB='x # y' # z\nC=x#y\nD= # none\nE='a' and 'b'\n"
    assert read_values(text) == {"A": "1", "B": "x # y", "C": "x#y", "D": "", "E": "a' and 'b"}
    with pytest.raises(ValueError, match="line 2 is not NAME=value") as caught:
        read_values("A=1\nhunter2\n")
    assert "hunter2" not in str(caught.value)
