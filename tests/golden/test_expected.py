"""Subsets and excerpts: what they accept, what they reject, and how an update changes them."""

from typing import Any

import pytest

from tests.golden.expected import object_of, refreshed, refreshed_text

BUILT: dict[str, Any] = {
    "replicas": 2,
    "strategy": {"type": "Recreate"},
    "containers": [{"name": "app", "image": "shop:1"}, {"name": "nginx", "image": "nginx:1"}],
    "volumeMounts": [{"name": "data", "mountPath": "/a"}, {"name": "data", "mountPath": "/b"}],
    "ports": [{"port": 80}, {"port": 443}],
    "volumes": {"emptyDir": {}},
    "config": "shop-redis-0123456789",
}
TEXT = "a = 1\nb = 2\n[c]\nd = 4\ne = 5\n"


@pytest.mark.parametrize(
    "subset",
    [
        {"replicas": 2},
        {"containers": [{"name": "nginx", "image": "nginx:1"}]},
        {"containers": [{"name": "reload", "absent": True}]},
        {"volumeMounts": [{"name": "data", "mountPath": "/b"}]},
        {"ports": [{"port": 80}, {"port": 443}]},
        {"volumes": {"emptyDir": {}}},
        {"minReadySeconds": {"absent": True}},
        {"config": {"like": "shop-redis-*"}},
    ],
)
def test_a_subset_that_holds_is_not_changed(subset: dict[str, Any]) -> None:
    assert refreshed(subset, BUILT) == subset


@pytest.mark.parametrize(
    ("subset", "update"),
    [
        ({"replicas": 1}, {"replicas": 2}),
        ({"minReadySeconds": 3}, {}),
        ({"replicas": {"absent": True}}, {"replicas": 2}),
        ({"strategy": {}}, {"strategy": {"type": "Recreate"}}),
        (
            {"containers": [{"name": "app", "image": "shop:0"}, {"name": "gone"}]},
            {"containers": [{"name": "app", "image": "shop:1"}]},
        ),
        (
            {"containers": [{"name": "app", "absent": True}]},
            {"containers": [{"name": "app"}]},
        ),
        ({"volumeMounts": []}, {"volumeMounts": BUILT["volumeMounts"]}),
        ({"ports": [{"port": 80}]}, {"ports": [{"port": 80}, {"port": 443}]}),
        ({"config": {"like": "shop-queue-*"}}, {"config": "shop-redis-0123456789"}),
    ],
)
def test_a_subset_that_fails_is_updated_without_new_keys(
    subset: dict[str, Any], update: dict[str, Any]
) -> None:
    assert refreshed(subset, BUILT) == update


@pytest.mark.parametrize(
    "excerpt",
    [
        TEXT,
        "...\nb = 2\n...\n",
        "a = 1\n...\ne = 5\n",
        "...\n[c]\nd = 4\n...\n",
        "...\nb = ...\n...\n",
        "a = 1\nb = 2\n[c]\nd = 4\ne = 5\n...\n",
    ],
)
def test_an_excerpt_that_holds_is_not_changed(excerpt: str) -> None:
    assert refreshed_text(excerpt, TEXT) == excerpt


@pytest.mark.parametrize(
    ("excerpt", "update"),
    [
        ("a = 1\nb = 2\n", TEXT),
        ("...\nb = 3\n...\n", "...\nb = 2\n...\n"),
        ("...\nb = 2\nd = 4\n...\n", "...\nb = 2\n...\nd = 4\n...\n"),
        ("b = 2\n...\n", "...\nb = 2\n...\n"),
        ("...\nd = 4\n", "...\nd = 4\n...\n"),
        ("...\nunlike any other\nd = 4\n...\n", "...\n[c]\nd = 4\n...\n"),
        ("...\nb = 2\nunlike\nd = 4\n...\n", "...\nb = 2\n[c]\nd = 4\n...\n"),
        ("...\nd = 4\nunlike any other\n...\n", "...\nd = 4\ne = 5\n...\n"),
        ("...\nunlike any other\n...\ne = 5\n", "...\ne = 5\n"),
    ],
)
def test_an_excerpt_that_fails_is_updated_without_new_lines(excerpt: str, update: str) -> None:
    assert refreshed_text(excerpt, TEXT) == update


def test_a_document_finds_its_object_by_kind_and_name_or_pattern() -> None:
    bodies = [
        {"kind": "ConfigMap", "metadata": {"name": "shop"}},
        {"kind": "ConfigMap", "metadata": {"name": "shop-redis-1"}},
    ]
    by_pattern = {"kind": "ConfigMap", "metadata": {"name": {"like": "shop-redis-*"}}}
    assert object_of(bodies[0], bodies) == 0
    assert object_of(by_pattern, bodies) == 1
    assert object_of({"kind": "Secret", "metadata": {"name": "shop"}}, bodies) is None
