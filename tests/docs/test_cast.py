"""The animated picture of a terminal: all of its text, in its time, without a script."""

import json
import re
from xml.etree import ElementTree

from manifests.generate import cast

HEADER = {"version": 2, "width": cast.COLUMNS, "height": cast.ROWS, "title": "A <run>"}


def drawn(*events: tuple[float, str]) -> str:
    lines = [HEADER, *([seconds, "o", text] for seconds, text in events)]
    return cast.drawn("\n".join(json.dumps(line) for line in lines))


def seconds_of(picture: str, text: str) -> float:
    found = re.search(rf"animation-delay:([\d.]+)s[^>]*>{re.escape(text)}<", picture)
    assert found, text
    return float(found[1])


def test_a_picture_has_the_text_of_the_run_and_no_script() -> None:
    picture = drawn((0, "$ deploy a&b\r\n"), (1, "\x1b[1;32mReady\x1b[0m at "), (2, "http://x\r\n"))
    root = ElementTree.fromstring(picture)
    assert " ".join("".join(root.itertext()).split()).endswith("$deploya&b Ready at http://x")
    assert root.get("aria-label") == "A <run>"
    assert "<script" not in picture
    assert 'class="s bold" fill="#8ddb8c"' in picture


def test_long_waits_are_shortened_and_the_whole_fits_into_the_time() -> None:
    short = drawn((0, "$ deploy\r\n"), (90, "built\r\n"), (300, "ready\r\n"))
    assert seconds_of(short, "built") < seconds_of(short, "ready") < 4
    long = drawn(*((10 * at, f"$ {at}\r\n") for at in range(1, 200)))
    assert 15 < seconds_of(long, "199") < cast.SECONDS


def test_an_output_that_would_pass_unread_is_cut() -> None:
    picture = drawn((0, "$ status\r\n"), *((1, f"{at}\r\n") for at in range(90)), (2, "$ next\r\n"))
    assert ">16</tspan>" in picture
    assert ">17</tspan>" not in picture
    assert ">…</tspan>" in picture
    assert ">next</tspan>" in picture


def test_a_full_screen_moves_up_and_readers_without_motion_see_its_end() -> None:
    full = drawn(*((at, f"{at}\r\n") for at in range(cast.ROWS + 3)))
    assert ".page { transform: translateY(-57px);" in full
    assert "prefers-reduced-motion" in full
