"""A changed line of a template changes at most three expected files, so that people read them."""

import contextlib
import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any
from unittest import mock

from fastapi_operator.resources import templates
from tests.golden import expected
from tests.golden.cases import CASES, WHOLE, Case, documents_in, load

AT_MOST = 3
_MARK = re.compile(r" ⟦(\S+:\d+)⟧")


@contextlib.contextmanager
def marked_templates() -> Iterator[None]:
    """Ends each line of text in a template with a mark that names the template and the line."""
    import jinja2  # noqa: PLC0415 (as the product imports it)

    environment = templates._environment()
    loader, cache = environment.loader, environment.cache
    assert loader is not None and cache is not None
    sources = {
        name: _marked(name, loader.get_source(environment, name)[0])
        for name in environment.list_templates()
    }
    cache.clear()
    with mock.patch.object(environment, "loader", jinja2.DictLoader(sources)):
        try:
            yield
        finally:
            cache.clear()


def _marked(name: str, source: str) -> str:
    lines = source.splitlines()
    return "".join(
        f"{line}\n"
        if re.fullmatch(r"\s*(\{[%#].*[%#]\}\s*)?", line)
        else f"{line} ⟦{name}:{number}⟧\n"
        for number, line in enumerate(lines, start=1)
    )


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)


def marks_by_file(case: Case, marked: Case) -> Iterator[tuple[str, str]]:
    """Yields each template line that an expected file of the case shows, with the file's name."""
    for document in documents_in(case.directory / "expected.yaml"):
        index = expected.object_of(document, [item.body for item in case.objects])
        if index is None:
            continue
        plain, body = case.objects[index].body, marked.objects[index].body
        for text in _texts(expected.refreshed(document, body)):
            yield from ((mark, "expected.yaml") for mark in _MARK.findall(text))
        names_are_digests = plain["metadata"]["name"] != body["metadata"]["name"]
        for (name, text), (_, own) in zip(
            expected.files(document, body), expected.files(document, plain), strict=True
        ):
            for line in _asserted(case, name, own, text):
                for mark in _MARK.findall(line):
                    yield mark, name
                    if names_are_digests and case.name in WHOLE:
                        yield mark, "expected.yaml"


def _asserted(case: Case, name: str, built: str, marked: str) -> Iterator[str]:
    """Yields the marked lines that a file asserts; not those that a pattern accepts as well."""
    lines = marked.splitlines(keepends=True)
    if case.name in WHOLE:
        yield from lines
        return
    text = (case.directory / name).read_text()
    wanted = [line for line in text.splitlines(keepends=True) if line != expected.GAP]
    for line, number in zip(wanted, expected.asserted_lines(text, built) or (), strict=True):
        if not expected.line_matches(line, lines[number]):
            yield lines[number]


def test_line_of_a_template_is_in_at_most_three_expected_files() -> None:
    plain = [load(name) for name in CASES]
    with marked_templates():
        marked = [load(name) for name in CASES]
    files = defaultdict(set)
    for case, other in zip(plain, marked, strict=True):
        for mark, name in marks_by_file(case, other):
            files[mark].add(f"{case.name}/{name}")
    assert len(files) > 500
    too_many = [f"{mark}: {sorted(names)}" for mark, names in files.items() if len(names) > AT_MOST]
    assert not too_many, "in more files than people read:\n" + "\n".join(too_many)
