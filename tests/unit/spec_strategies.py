"""Generates specs from the schema: every section, every bound, and frequent mistakes."""

import copy
from collections.abc import Callable, Iterator
from typing import Any

from hypothesis import strategies as st

from fastapi_operator.api.crd import structural_schema
from fastapi_operator.api.service import Spec

SCHEMA = structural_schema(Spec)

# Values of a wrong type.
JUNK = st.sampled_from(
    [
        None,
        True,
        "",
        " ",
        "a;b",
        "a\n",
        '"',
        "٣",
        "None",
        "5",
        "-1",
        -1,
        0,
        0.5,
        2.0,
        2**31,
        2**53 + 1,
        10**19,
        [],
        [None],
        {},
        {"unheardOf": 1},
        "x" * 3000,
    ]
)


def specs(*, most_fields: int = 4) -> st.SearchStrategy[dict[str, Any]]:
    """Specs whose every field is right by itself; together they may break a rule.

    Args:
        most_fields: How many optional fields a section has at most.
    """
    drawn: st.SearchStrategy[dict[str, Any]] = _object(SCHEMA, most_fields)
    return drawn


@st.composite
def mutated_specs(draw: st.DrawFn) -> dict[str, Any]:
    """A spec with up to two values changed as in a mistake."""
    spec = copy.deepcopy(draw(specs(most_fields=3)))
    for _ in range(draw(st.integers(1, 2))):
        places = list(_places(spec))
        if not places:
            break
        holder, key = draw(st.sampled_from(places))
        match draw(st.sampled_from(["replace", "remove", "add"])):
            case "replace":
                holder[key] = copy.deepcopy(draw(JUNK))
            case "remove":
                del holder[key]
            case _ if isinstance(holder, dict):
                holder[draw(st.sampled_from(["unheardOf", "nmae", "name", "replicas"]))] = 1
    return spec


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every place within a value, as its container and its key there."""
    keys = list(value) if isinstance(value, dict) else range(len(value))
    for key in keys:
        yield value, key
        if isinstance(value[key], dict | list):
            yield from _places(value[key])


def _values(node: dict[str, Any], most_fields: int) -> st.SearchStrategy[Any]:
    drawn: st.SearchStrategy[Any]
    match node:
        case {"x-kubernetes-preserve-unknown-fields": True, "properties": keys}:
            required = {key: st.sampled_from(["a", "b"]) for key in keys}
            drawn = st.fixed_dictionaries(required, optional={"value": st.just("1")})
        case {"x-kubernetes-preserve-unknown-fields": True}:
            drawn = st.fixed_dictionaries({}, optional={"name": st.sampled_from(["a", "b"])})
        case {"x-kubernetes-int-or-string": True, "minimum": least, "maximum": most}:
            drawn = st.one_of(st.integers(least, most), _text(node))
        case {"enum": choices}:
            drawn = st.sampled_from(choices)
        case {"properties": _}:
            drawn = _object(node, most_fields)
        case {"additionalProperties": value}:
            names = st.sampled_from(["a", "b.c/d", "E_f"])
            drawn = st.dictionaries(names, _values(value, most_fields), max_size=2)
        case {"items": item}:
            drawn = st.lists(
                _values(item, most_fields),
                min_size=node.get("minItems", 0),
                max_size=2,
                unique_by=_key(node),
            )
        case {"type": "integer"}:
            drawn = st.integers(node["minimum"], node["maximum"])
        case {"type": "boolean"}:
            drawn = st.booleans()
        case _:
            drawn = _text(node)
    return drawn


def _key(node: dict[str, Any]) -> Callable[[Any], Any] | None:
    """The key by which the items of a list must differ; None if they need not."""
    match node.get("x-kubernetes-list-type"):
        case "map":
            (field,) = node["x-kubernetes-list-map-keys"]
            return lambda item: item[field]
        case "set":
            return lambda item: item
    return None


def _text(node: dict[str, Any]) -> st.SearchStrategy[str]:
    longest = node["maxLength"]
    if "pattern" not in node:
        return st.text(max_size=min(longest, 20))
    # UTF-8 has no surrogates; the pattern bounds all but their free text.
    drawn = st.from_regex(node["pattern"], fullmatch=True, alphabet=st.characters(codec="utf-8"))
    shortest = node.get("minLength", 0)
    return drawn.filter(lambda text: shortest <= len(text) <= longest and "\n" not in text)


def _object(node: dict[str, Any], most_fields: int) -> st.SearchStrategy[dict[str, Any]]:
    required = set(node.get("required", ()))
    fields = {name: _values(child, most_fields) for name, child in node["properties"].items()}
    optional = sorted(fields.keys() - required)

    def chosen(names: list[str]) -> st.SearchStrategy[dict[str, Any]]:
        return st.fixed_dictionaries({name: fields[name] for name in [*sorted(required), *names]})

    return st.lists(
        st.sampled_from(optional or [""]), max_size=most_fields if optional else 0, unique=True
    ).flatmap(chosen)
