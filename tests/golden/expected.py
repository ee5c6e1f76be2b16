"""Compares objects with the subset of them that a case asserts.

The subset is YAML. A mapping asserts the keys that it has. A list of mappings with names asserts
the items that it names; any other list asserts the number and the order of its items. An empty
mapping or list asserts that the value is empty. Three mappings are special: ``{absent: true}``
asserts that a field, a named item or an object does not exist; ``{like: shop-redis-*}`` asserts a
text by a pattern; and ``{file: nginx.conf}`` refers to a file beside the subset. In such a file, a
line ``...`` matches any number of lines, and ``...`` in a line matches any text.

``refreshed`` and ``refreshed_text`` return what a file would contain if it were right. So a case
passes if its files do not change, and an update writes what they return: the same keys, with the
values of today.
"""

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatch
from typing import Any

# Keys that identify an item of a list: a volume may be mounted at several paths.
_IDENTITIES = ("mountPath", "name")
GAP = "...\n"
_ABSENT = {"absent": True}


def refreshed(expected: Any, built: Any) -> Any:
    """Returns the asserted part of a built value; equal to ``expected`` if that holds."""
    if not expected:
        return built
    if isinstance(expected, Mapping) and isinstance(built, Mapping):
        return dict(_refreshed_keys(expected, built))
    if isinstance(built, str) and (_is(expected, "file") or _is_like(expected, built)):
        return expected
    if isinstance(expected, list) and isinstance(built, list):
        if _are_named(expected, built):
            return list(_refreshed_items(expected, built))
        if len(expected) == len(built):
            return [refreshed(*pair) for pair in zip(expected, built, strict=True)]
    return built


def _refreshed_keys(
    expected: Mapping[str, Any], built: Mapping[str, Any]
) -> Iterator[tuple[str, Any]]:
    for key, value in expected.items():
        if key in built:
            yield key, refreshed(value, built[key])
        elif value == _ABSENT:
            yield key, value


def _refreshed_items(expected: Sequence[Any], built: Sequence[Any]) -> Iterator[Any]:
    by_identity = {_identity(item): item for item in built}
    for item in expected:
        identity = _identity(item)
        if item.get("absent") and identity not in by_identity:
            yield item
        elif identity in by_identity:
            yield refreshed(item, by_identity[identity])


def object_of(expected: Mapping[str, Any], bodies: Sequence[Mapping[str, Any]]) -> int | None:
    """Returns the index of the object that a document is about; its name may be a pattern."""
    wanted = expected["metadata"]["name"]
    for index, body in enumerate(bodies):
        name = body["metadata"]["name"]
        if body["kind"] == expected["kind"] and (name == wanted or _is_like(wanted, name)):
            return index
    return None


def files(expected: Any, built: Any) -> Iterator[tuple[str, str]]:
    """Yields the name of each file that a subset refers to, with the text that was built."""
    if _is(expected, "file") and isinstance(built, str):
        yield expected["file"], built
    elif isinstance(expected, Mapping) and isinstance(built, Mapping):
        for key, value in expected.items():
            yield from files(value, built.get(key))
    elif isinstance(expected, list) and isinstance(built, list) and _are_named(expected, built):
        by_identity = {_identity(item): item for item in built}
        for item in expected:
            yield from files(item, by_identity.get(_identity(item)))
    elif isinstance(expected, list) and isinstance(built, list):
        for left, right in zip(expected, built, strict=False):
            yield from files(left, right)


def refreshed_text(expected: str, built: str) -> str:
    """Returns the asserted lines of a built text; equal to ``expected`` if that holds."""
    lines, asserted = built.splitlines(keepends=True), expected.splitlines(keepends=True)
    if GAP not in asserted:
        return built
    if asserted_lines(expected, built) is not None:
        return expected
    return "".join(_closest(asserted, lines))


def asserted_lines(expected: str, built: str) -> list[int] | None:
    """Returns the indices of the built lines that a text asserts; None if it does not match."""
    lines = built.splitlines(keepends=True)
    first, *blocks = _blocks(expected.splitlines(keepends=True))
    if not _begins(lines, first) or (not blocks and len(lines) != len(first)):
        return None
    found = list(range(len(first)))
    for number, block in enumerate(blocks, start=1):
        start = found[-1] + 1 if found else 0
        if block and number == len(blocks):  # The last one ends the text.
            start = max(start, len(lines) - len(block))
        at = next((at for at in range(start, len(lines) + 1) if _begins(lines[at:], block)), None)
        if at is None:
            return None
        found += range(at, at + len(block))
    return found


def line_matches(expected: str, built: str) -> bool:
    """Returns whether a line of a text matches the built one."""
    pattern = ".*".join(map(re.escape, expected.split("...")))
    return re.fullmatch(pattern, built, flags=re.DOTALL) is not None


def _begins(lines: Sequence[str], block: Sequence[str]) -> bool:
    return len(lines) >= len(block) and all(map(line_matches, block, lines))


def _blocks(asserted: Sequence[str]) -> list[list[str]]:
    """Returns the lines between gaps; the first and the last block may be empty."""
    blocks: list[list[str]] = [[]]
    for line in asserted:
        if line == GAP:
            blocks.append([])
        else:
            blocks[-1].append(line)
    return blocks


def _closest(asserted: Sequence[str], lines: Sequence[str]) -> Iterator[str]:
    """Yields the asserted lines as they are now: each block of lines keeps its length if it can."""
    position, gap = 0, False
    for number, block in enumerate(_blocks(asserted)):
        if number and not gap:
            yield GAP
            gap = True
        for index, line in _located(block, lines, position):
            if index > position and not gap:
                yield GAP
            yield line
            position, gap = index + 1, False
    if position < len(lines) and not gap:
        yield GAP


def _located(block: Sequence[str], lines: Sequence[str], start: int) -> Iterator[tuple[int, str]]:
    """Yields the lines of a block with their indices; finds a rewritten line by its neighbours."""
    found: list[int | None] = []
    position = start
    for line in block:
        index = _most_like(line, lines, position)
        found.append(index)
        position = position if index is None else index + 1
    position = start
    for number, (line, known) in enumerate(zip(block, found, strict=True)):
        index = known
        later = [(ahead, at) for ahead, at in enumerate(found[number:]) if at is not None]
        if known is None and later:  # As far before the next known line as it was.
            index = later[0][1] - later[0][0]
        elif known is None and any(at is not None for at in found[:number]):
            index = position
        if index is not None and position <= index < len(lines):
            yield index, line if line_matches(line, lines[index]) else lines[index]
            position = index + 1


def _most_like(line: str, lines: Sequence[str], start: int) -> int | None:
    rest = list(lines[start:])
    like = [item for item in rest if line_matches(line, item)]
    like = like or difflib.get_close_matches(line, rest, n=1)
    return start + rest.index(like[0]) if like else None


def _is(expected: Any, special: str) -> bool:
    return isinstance(expected, Mapping) and set(expected) == {special}


def _is_like(expected: Any, text: str) -> bool:
    return _is(expected, "like") and fnmatch(text, expected["like"])


def _are_named(*lists: Sequence[Any]) -> bool:
    return all(_identity(item) is not None for items in lists for item in items)


def _identity(item: Any) -> tuple[str, Any] | None:
    if isinstance(item, Mapping):
        return next(((key, item[key]) for key in _IDENTITIES if key in item), None)
    return None
