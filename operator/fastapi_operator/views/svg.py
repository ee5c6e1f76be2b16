"""Elements of SVG as text; every text and attribute is escaped."""

import html
from collections.abc import Iterable

from markupsafe import Markup

# The width of every chart in its own units, about the pixels of a column of the page.
WIDTH = 480


def element(tag: str, *children: str, **attributes: float | str) -> str:
    """Returns an element; ``_`` in the name of an attribute is ``-``, a final one is dropped."""
    shown = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{html.escape(_shown(value))}"'
        for name, value in attributes.items()
    )
    return f"<{tag}{shown}>{''.join(children)}</{tag}>" if children else f"<{tag}{shown}/>"


def text(content: str, x: float, y: float, class_: str = "", anchor: str = "start") -> str:
    """Returns a text; ``y`` is its base line."""
    return element("text", html.escape(content), class_=class_, x=x, y=y, text_anchor=anchor)


def bar(  # noqa: PLR0917 (the order of SVG's own attributes)
    x: float, y: float, width: float, height: float, class_: str, title: str = ""
) -> str:
    """Returns a rectangle, with a title that a pointer shows."""
    titles = (element("title", html.escape(title)),) if title else ()
    return element(
        "rect", *titles, class_=class_, x=x, y=y, width=max(width, 0.0), height=height, rx=2
    )


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> str:
    """Returns a straight line."""
    return element("line", class_=class_, x1=x1, y1=y1, x2=x2, y2=y2)


def drawing(shapes: Iterable[str], *, height: float, key: str, title: str, about: str) -> Markup:
    """Returns a whole drawing.

    Args:
        shapes: Its elements.
        height: Its height; the width is ``WIDTH``.
        key: A name that no other drawing of the page has.
        title: The caption for screen readers.
        about: The same numbers in a sentence.
    """
    return Markup(  # noqa: S704 (every part was escaped above)
        element(
            "svg",
            element("title", html.escape(title), id=f"{key}-title"),
            element("desc", html.escape(about), id=f"{key}-about"),
            *shapes,
            viewBox=f"0 0 {WIDTH} {_shown(height)}",
            role="img",
            aria_labelledby=f"{key}-title",
            aria_describedby=f"{key}-about",
            focusable="false",
        )
    )


def _shown(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.2f}".rstrip("0").rstrip(".")
