"""The pages of ``-o html`` in a real browser: light and dark, with a keyboard, on a phone."""

from pathlib import Path

import pytest

from fastapi_operator.observability.flamegraph import Profile
from fastapi_operator.views.profile_page import profile_page
from tests.browser import Browser
from tests.full.legible import BARRIERS, LOW_CONTRAST
from tests.unit.cli.test_commands import SHOP, invoke
from tests.unit.views.test_other_pages import STACKS, doctor

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "manifests/samples"
FACTS = '{kubernetes: "1.35", apis: [gateway.networking.k8s.io/v1/HTTPRoute]}'
EXPLAIN = {
    "shop": ("-f", "-"),
    "full": ("-f", str(SAMPLES / "full.yaml")),
    "what-if": ("-f", "-", "--what-if", "resources.requests.cpu=2", "--what-if", "redis=null"),
    "beside": ("-f", str(SAMPLES / "shop.yaml"), "--beside", str(SAMPLES / "external.yaml")),
}
WIDTHS = (390, 820, 1280)

# Texts of drawings that leave the drawing, or that cover a bar or each other.
COLLISIONS = """(() => {
  const found = [];
  const apart = (a, b) => a.right <= b.left + 0.5 || b.right <= a.left + 0.5 ||
    a.bottom <= b.top + 0.5 || b.bottom <= a.top + 0.5;
  for (const svg of document.querySelectorAll("svg:not(.flames)")) {
    const frame = svg.getBoundingClientRect();
    const boxes = (selector) => [...svg.querySelectorAll(selector)]
      .map((item) => [item.textContent, item.getBoundingClientRect()])
      .filter(([, box]) => box.width > 0);
    const texts = boxes("text");
    texts.forEach(([text, box], index) => {
      if (box.left < frame.left - 1 || box.right > frame.right + 1 ||
          box.top < frame.top - 1 || box.bottom > frame.bottom + 1) found.push(`${text} leaves`);
      for (const [bar, other] of boxes("rect")) {
        if (!apart(box, other)) found.push(`${text} covers ${bar}`);
      }
      for (const [next, other] of texts.slice(index + 1)) {
        if (!apart(box, other)) found.push(`${text} covers ${next}`);
      }
    });
  }
  return found;
})()"""


# Targets of a pointer that are lower than WCAG 2.2 (AA) requires.
SMALL_TARGETS = """[...document.querySelectorAll("summary, button, nav a, input[type=search]")]
  .filter((item) => item.checkVisibility() && item.getBoundingClientRect().height < 24)
  .map((item) => item.textContent)"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Returns the pages of several services by a name."""
    folder = tmp_path_factory.mktemp("pages")
    facts = folder / "facts.yaml"
    facts.write_text(FACTS)
    written = {}
    for name, arguments in EXPLAIN.items():
        result = invoke("explain", *arguments, "-o", "html", "--facts", str(facts), text=SHOP)
        assert result.exit_code == 0, result.stderr
        written[name] = folder / f"{name}.html"
        written[name].write_text(result.stdout)
    written["doctor"] = folder / "doctor.html"
    written["doctor"].write_text(doctor())
    written["profile"] = folder / "profile.html"
    written["profile"].write_text(
        profile_page("shop", Profile(STACKS), pod="shop-a", seconds=2, hertz=100)
    )
    return written


@pytest.mark.parametrize("name", [*EXPLAIN, "doctor", "profile"])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_a_page_is_readable_and_requests_nothing(
    chromium: Browser, pages: dict[str, Path], name: str, dark: bool, tmp_path: Path
) -> None:
    for width in WIDTHS:
        chromium.show(dark=dark, width=width)
        chromium.open(pages[name])
        assert chromium.requests == [pages[name].as_uri()]
        assert not chromium.errors
        assert chromium.run("document.documentElement.scrollWidth") <= width
        chromium.picture(tmp_path / f"{name}-{width}.png")
        if width > 400:
            assert chromium.run(COLLISIONS) == []
    chromium.run("document.querySelectorAll('details').forEach((item) => { item.open = true; })")
    assert chromium.run(SMALL_TARGETS) == []
    assert chromium.run(BARRIERS) == []
    contrast = chromium.run(LOW_CONTRAST)
    assert contrast["low"] == []
    assert contrast["read"] > (100 if name in EXPLAIN else 20)
    grounds = chromium.run("getComputedStyle(document.body).backgroundColor")
    assert (grounds == "rgb(255, 255, 255)") is not dark


def test_bars_have_the_lengths_of_their_numbers_on_the_screen(
    chromium: Browser, pages: dict[str, Path]
) -> None:
    chromium.show()
    chromium.open(pages["shop"])
    widths = chromium.run(
        "[...document.querySelectorAll('[aria-labelledby=\"timeouts\"] rect')]"
        ".map((bar) => bar.getBoundingClientRect().width)"
    )
    assert [width / widths[0] for width in widths] == pytest.approx([1, 2, 3, 6], rel=0.01)


def test_a_keyboard_reaches_the_content_and_opens_a_reason(
    chromium: Browser, pages: dict[str, Path]
) -> None:
    chromium.show()
    chromium.open(pages["shop"])
    chromium.press("Tab", 9)
    assert chromium.run("document.activeElement.className") == "skip"
    assert chromium.run("document.activeElement.getBoundingClientRect().left") >= 0
    chromium.press("Enter", 13, "\r")
    assert chromium.run("document.activeElement.id") == "main"
    for _ in range(200):
        chromium.press("Tab", 9)
        style = "getComputedStyle(document.activeElement)"
        assert chromium.run(f"{style}.outlineStyle") == "solid", "the focus is not visible"
        assert chromium.run(f"parseFloat({style}.outlineWidth)") >= 2
        if chromium.run("document.activeElement.closest('tr')?.id") == "server.workers":
            break
    assert chromium.run("document.activeElement.tagName") == "SUMMARY"
    chromium.press("Enter", 13, "\r")
    assert chromium.run("document.activeElement.parentElement.open")


def test_the_filter_shows_the_numbers_that_have_all_words(
    chromium: Browser, pages: dict[str, Path]
) -> None:
    chromium.show()
    chromium.open(pages["shop"])
    shown = "[...document.querySelectorAll('.numbers tbody tr')].filter((row) => row.offsetHeight)"
    everything = chromium.run(f"{shown}.length")
    chromium.run("document.getElementById('filter').focus()")
    for letter in "queue seconds":
        chromium.press(letter, ord(letter.upper()), letter)
    found = chromium.run(f"{shown}.map((row) => row.id)")
    assert "pooler.query_wait_timeout_seconds" in found or "pool.timeout_seconds" in found
    assert 0 < len(found) < 10
    count = chromium.run("document.getElementById('shown').textContent")
    assert count == f"{len(found)} of {everything} numbers"
    # A link to a number that is hidden shows it.
    chromium.run("location.hash = '#server.workers'")
    chromium.run("new Promise((done) => setTimeout(done, 100))")
    assert chromium.run("document.getElementById('server.workers').offsetHeight") > 0
    assert chromium.run("document.querySelector('[id=\"server.workers\"] details').open")


def test_a_what_if_begins_with_the_numbers_that_differ(
    chromium: Browser, pages: dict[str, Path]
) -> None:
    chromium.show()
    chromium.open(pages["what-if"])
    shown = "[...document.querySelectorAll('.numbers tbody tr')].filter((row) => row.offsetHeight)"
    assert chromium.run(f"{shown}.every((row) => row.classList.contains('differs'))")
    before = chromium.run(f"{shown}.length")
    chromium.run("document.getElementById('differing').click()")
    assert chromium.run(f"{shown}.length") > before > 0


def test_a_click_enlarges_a_function_of_the_flame_graph(
    chromium: Browser, pages: dict[str, Path]
) -> None:
    chromium.show()
    chromium.open(pages["profile"])
    width = "document.querySelector('[data-name=\"shop.py:<lambda>\"] rect').getAttribute('width')"
    click = "document.querySelector('[data-name=\"{}\"]').dispatchEvent(new Event('click'))"
    before = float(chromium.run(width))
    chromium.run(click.format("shop.py:<lambda>"))
    assert float(chromium.run(width)) == pytest.approx(before / 0.19, rel=0.01)
    frames = "[...document.querySelectorAll('svg.flames g')]"
    shown = f"{frames}.filter((g) => getComputedStyle(g).display !== 'none')"
    assert chromium.run(f"{shown}.map((g) => g.dataset.name).sort()") == [
        "all", "main.py:run", "shop.py:<lambda>",
    ]  # fmt: skip
    assert "19 samples" in chromium.run("document.getElementById('frame').textContent")
    chromium.run(click.format("all"))
    assert float(chromium.run(width)) == pytest.approx(before, abs=0.01)
    assert not chromium.errors


def test_a_screen_reader_finds_drawings_tables_and_landmarks(
    chromium: Browser, pages: dict[str, Path]
) -> None:
    chromium.show()
    chromium.open(pages["shop"])
    found = chromium.accessible()
    roles = {role for role, _ in found}
    assert {"main", "navigation", "banner", "contentinfo", "search", "table"} <= roles
    drawings = [name for role, name in found if role in {"image", "img"}]
    assert "Connections, shop" in drawings
    assert "Timeouts of a request, shop" in drawings
    for role, name in found:
        if role in {"heading", "link", "button", "searchbox", "image", "img"}:
            assert name.strip(), role


def test_a_page_without_script_still_shows_every_number(
    chromium: Browser, pages: dict[str, Path]
) -> None:
    chromium.show()
    chromium.send("Emulation.setScriptExecutionDisabled", value=True)
    try:
        chromium.open(pages["what-if"])
        hidden = "[...document.querySelectorAll('.numbers tbody tr')].some((row) => row.hidden)"
        assert chromium.run(hidden) is False
        assert chromium.run("document.querySelector('.controls').offsetHeight") == 0
    finally:
        chromium.send("Emulation.setScriptExecutionDisabled", value=False)
