"""A sampling profile as a flame graph and as a table."""

from xml.etree import ElementTree

import pytest

from fastapi_operator.cluster.spy import stacks
from fastapi_operator.observability.flamegraph import Line, Profile

TEXT = """\
main.py:run:10;shop.py:Items.list:40;json.py:dumps:7 60
main.py:run:10;shop.py:Items.list:44;json.py:dumps:7 20
main.py:run:10;shop.py:<lambda>:3 20
"""
SVG = "{http://www.w3.org/2000/svg}"


def shapes(svg: str) -> dict[str, tuple[float, float]]:
    """Left edge and width of each frame, by its title up to the colon."""
    found = {}
    for group in ElementTree.fromstring(svg).iter(f"{SVG}g"):
        title, box = group.find(f"{SVG}title"), group.find(f"{SVG}rect")
        assert title is not None and title.text is not None and box is not None
        name = title.text.rpartition(": ")[0]
        found[name] = (float(box.attrib["x"]), float(box.attrib["width"]))
    return found


def test_width_is_time_and_a_function_is_one_frame() -> None:
    found = shapes(Profile(TEXT).svg("shop & co"))
    assert found["all"][1] == found["main.py:run"][1] > 1190
    assert found["shop.py:Items.list"][1] == pytest.approx(960, abs=1)
    assert found["shop.py:<lambda>"][1] == pytest.approx(240, abs=1)
    # A callee is within its caller.
    assert found["json.py:dumps"] == found["shop.py:Items.list"]


def test_the_table_counts_own_and_total_samples_of_a_line() -> None:
    profile = Profile(TEXT)
    assert profile.samples == 100
    assert profile.top(2) == (Line("json.py:dumps:7", 80, 80), Line("shop.py:<lambda>:3", 20, 20))


def test_recursion_counts_once() -> None:
    (line,) = Profile("a.py:f:1;a.py:f:1;a.py:f:1 5\n").top()
    assert line == Line("a.py:f:1", 5, 5)


def test_a_profile_without_samples_is_an_empty_graph() -> None:
    empty = Profile("\n")
    assert (empty.samples, empty.top()) == (0, ())
    assert shapes(empty.svg("idle")) == {}


@pytest.mark.parametrize("text", ["<html>Not found</html>", "a.py:f:1 many"])
def test_an_invalid_profile_is_rejected(text: str) -> None:
    with pytest.raises(ValueError, match="not a line of a profile"):
        Profile(text)


def test_stacks_of_py_spy_are_a_valid_profile() -> None:
    printed = """\
py-spy> Sampling process 100 times a second for 2 seconds. Press Control-C to exit.

process 1:"python3 -m shop";run (asyncio/runners.py:127);<lambda> (shop/main.py:3) 17
py-spy> Stopped sampling because process exited 0
"""
    (stack,) = stacks(printed)
    assert stack == (
        'process 1:"python3 -m shop";asyncio/runners.py:run:127;shop/main.py:<lambda>:3 17'
    )
    assert Profile(stack).top()[0] == Line("shop/main.py:<lambda>:3", 17, 17)
