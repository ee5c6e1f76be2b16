"""The colours of the pages: contrast as WCAG 2.2 (AA) requires it, in light and in dark."""

import re
from importlib import resources

import pytest

STYLE = resources.files("fastapi_operator.views").joinpath("templates/page.css").read_text()
_LIGHT, _DARK = (
    dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block))
    for block in re.findall(r":root \{(.*?)\}", STYLE, flags=re.DOTALL)
)
THEMES = {"light": _LIGHT, "dark": _DARK}
TEXTS = [
    *((text, ground) for text in ("text", "muted") for ground in ("bg", "surface", "mark")),
    *((text, ground) for text in ("accent", "warn", "bad") for ground in ("bg", "surface")),
    ("accent", "mark"),
    ("text", "narrowing"),
]
# Bars must be visible, and so must the outlines of controls.
SHAPES = [(f"fill-{number}", "bg") for number in range(1, 10)] + [
    ("bad", "bg"), ("accent", "bg"), ("muted", "bg"),
]  # fmt: skip


def contrast(first: str, second: str) -> float:
    lighter, darker = sorted((luminance(first), luminance(second)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[index : index + 2], 16) / 255 for index in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_contrast_is_computed_as_wcag_defines_it() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize(("text", "ground"), TEXTS)
def test_text_has_contrast_to_its_background(theme: str, text: str, ground: str) -> None:
    colours = THEMES[theme]
    assert contrast(colours[text], colours[ground]) >= 4.5


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize(("shape", "ground"), SHAPES)
def test_shapes_have_contrast_to_their_background(theme: str, shape: str, ground: str) -> None:
    colours = THEMES[theme]
    assert contrast(colours[shape], colours[ground]) >= 3


def test_both_themes_define_the_same_colours_and_no_rule_has_another() -> None:
    assert set(_LIGHT) == set(_DARK)
    rules = re.sub(r":root \{.*?\}", "", STYLE, flags=re.DOTALL)
    assert not re.findall(r"#[0-9a-f]{3,8}\b|rgb\(|hsl\(", rules)
    assert set(re.findall(r"var\(--([\w-]+)\)", rules)) <= set(_LIGHT)
