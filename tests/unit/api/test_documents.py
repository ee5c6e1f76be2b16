from typing import Any

import pytest

from fastapi_operator.api.documents import DocumentError, read_documents
from tests.unit.api.scalars import REFUSED, SCALARS


@pytest.mark.parametrize("text", SCALARS)
def test_a_scalar_is_read_as_by_kubectl(text: str) -> None:
    (document,) = read_documents(f"value: {text}\n")

    value = document.body["value"]
    assert value == SCALARS[text]
    assert type(value) is type(SCALARS[text])


@pytest.mark.parametrize("text", REFUSED)
def test_a_scalar_that_cannot_be_sent_is_refused(text: str) -> None:
    with pytest.raises(DocumentError):
        read_documents(f"value: {text}\n")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{on: 1, 5: a, 0x10: b}", {"true": 1, "5": "a", "16": "b"}),
        ("base: &b {a: 1, b: 2}\nown: {<<: *b, b: 3}", {"a": 1, "b": 3}),
        ("base: &b {a: 1, b: 2}\nown: {b: 3, <<: *b}", {"a": 1, "b": 2}),
        ("l: &l {a: 1}\nr: &r {a: 2, b: 2}\nown: {<<: [*l, *r]}", {"a": 1, "b": 2}),
        ("base: &b [1, 2]\nown: *b", [1, 2]),
    ],
)
def test_keys_anchors_and_merges_are_read_as_by_kubectl(text: str, value: Any) -> None:
    (document,) = read_documents(text)
    assert document.body.get("own", document.body) == value


def test_several_documents_are_read_and_empty_ones_are_skipped() -> None:
    assert [document.body for document in read_documents("a: 1\n---\n---\n# b\n---\nc: 2")] == [
        {"a": 1},
        {"c": 2},
    ]


def test_json_may_have_tabs_and_several_objects() -> None:
    text = '{\n\t"a": 1.0,\n\t"b": "\\/\\ud83d\\ude00"\n}\n{"c": 1e3}'
    assert [document.body for document in read_documents(text)] == [
        {"a": 1, "b": "/😀"},
        {"c": 1000},
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb:\n  c: 1\n  c: 2", "line 4: duplicate key 'c'"),
        ("a: {on: 1, true: 2}", "duplicate key 'true'"),
        ('{"a": 1, "a": 2}', "duplicate key 'a'"),
        ("a: &a [*a]", "line 1: an anchor contains itself"),
        ("a: *b", "undefined alias"),
        ("a: {<<: 5}", "<< requires a mapping"),
        ("? [a]\n: b", "a key must be a string"),
        ("a: !!python/object:os.system x", "cannot read"),
        ("[" * 3000, "not valid YAML|nested too deeply"),
        ("a: b: c", "not valid YAML"),
    ],
)
def test_an_invalid_text_is_refused_with_its_line(text: str, message: str) -> None:
    with pytest.raises(DocumentError, match=message):
        read_documents(text)


def test_anchors_that_expand_to_too_many_values_are_refused() -> None:
    levels = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    levels += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
    with pytest.raises(DocumentError, match="more than 200000 values"):
        read_documents("\n".join(levels))


def test_a_path_has_the_line_of_its_key_or_of_the_enclosing_value() -> None:
    (document,) = read_documents("kind: A\nspec:\n  image: a\n  background:\n    - name: b\n")

    assert document.line("spec.image") == 3
    assert document.line("spec.background[0].name") == 5
    assert document.line("spec.background[0].command") == 5
    assert document.line("spec.server.workers") == 2
    assert document.line("metadata.name") == 1
