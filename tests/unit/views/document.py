"""A page as a tree, and the rules that every page keeps."""

import base64
import hashlib
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

_VOID = {"meta", "input", "br", "wbr", "link", "img", "hr"}


@dataclass
class Element:
    """An element with its attributes, its text and its children."""

    tag: str
    attributes: dict[str, str]
    parent: "Element | None" = None
    children: list["Element"] = field(default_factory=list)
    pieces: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return " ".join("".join(self.pieces).split())

    def all(self, *tags: str) -> Iterator["Element"]:
        """Yields the elements below, in the order of the page; with tags, only those."""
        for child in self.children:
            if not tags or child.tag in tags:
                yield child
            yield from child.all(*tags)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = self.open = Element("", {})

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs}, self.open)
        self.open.children.append(element)
        if tag not in _VOID:
            self.open = element

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.tag == tag, f"</{tag}> ends <{self.open.tag}>"
        assert self.open.parent is not None
        self.open = self.open.parent

    def handle_data(self, data: str) -> None:
        element: Element | None = self.open
        while element is not None:
            element.pieces.append(data)
            element = element.parent


def read(text: str) -> Element:
    """Parses a page; every element must be closed in order."""
    reader = _Reader()
    reader.feed(text)
    reader.close()
    assert reader.open is reader.root, f"<{reader.open.tag}> is not closed"
    return reader.root


def check(text: str) -> Element:
    """Checks what every page keeps, and returns it."""
    page = read(text)
    _loads_nothing(text, page)
    _has_an_outline(page)
    _has_names(page)
    return page


def _loads_nothing(text: str, page: Element) -> None:
    assert not list(page.all("link", "img", "iframe", "object", "embed", "base", "image", "use"))
    for element in page.all():
        for name, value in element.attributes.items():
            assert not name.startswith("on"), f"{name} on <{element.tag}>"
            if name in {"href", "src", "action", "xlink:href"}:
                assert value.startswith("#"), value
    (style,), (script,) = list(page.all("style")), list(page.all("script"))
    assert not re.search(r"url\(|@import|https?:", "".join(style.pieces))
    assert not re.search(r"https?:|fetch|import|eval|innerHTML", "".join(script.pieces))
    policy = next(item for item in page.all("meta") if "http-equiv" in item.attributes)
    content = policy.attributes["content"]
    assert content.startswith("default-src 'none';")
    for element in (style, script):
        digest = hashlib.sha256("".join(element.pieces).encode()).digest()
        assert f"'sha256-{base64.b64encode(digest).decode()}'" in content
    assert not any("style" in element.attributes for element in page.all()), "blocked by the policy"


def _has_an_outline(page: Element) -> None:
    (root,) = list(page.all("html"))
    assert root.attributes["lang"] == "en"
    assert next(page.all("title")).text
    levels = [int(item.tag[1]) for item in page.all("h1", "h2", "h3", "h4", "h5", "h6")]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    assert len(list(page.all("main"))) == 1
    first_link = next(page.all("a"))
    assert first_link.attributes["href"] == "#main"


def _has_names(page: Element) -> None:
    ids = [item.attributes["id"] for item in page.all() if "id" in item.attributes]
    assert len(ids) == len(set(ids)), sorted(name for name in ids if ids.count(name) > 1)
    for element in page.all():
        for name in element.attributes.get("aria-labelledby", "").split():
            assert name in ids, name
        if element.tag == "a":
            assert element.attributes["href"][1:] in ids, element.attributes["href"]
    for drawing in page.all("svg"):
        assert drawing.attributes["role"] == "img"
        title, about = (next(drawing.all(tag)) for tag in ("title", "desc"))
        assert title.text and about.text
        assert drawing.attributes["aria-labelledby"] == title.attributes["id"]
        assert drawing.attributes["aria-describedby"] == about.attributes["id"]
    for table in page.all("table"):
        assert next(table.all("caption")).text
        headings = list(table.all("th"))
        assert headings and all(item.attributes["scope"] in {"col", "row"} for item in headings)
        rows = [sum(child.tag in {"td", "th"} for child in row.children) for row in table.all("tr")]
        assert len(set(rows)) == 1, rows
    for control in page.all("input"):
        assert control.parent is not None and control.parent.tag == "label"
    for control in page.all("button", "summary"):
        assert control.text
    for group in page.all():
        # What scrolls can be reached with a keyboard, and then has a name.
        if group.attributes.get("tabindex") == "0":
            assert group.attributes["aria-label"]
