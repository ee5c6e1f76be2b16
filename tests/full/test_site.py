"""The documentation as a site in a real browser: legible, with a keyboard, and its search."""

import threading
import time
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.browser import PACKAGES, Browser, browser
from tests.cluster import packages
from tests.docs.test_site import site
from tests.full.legible import BROKEN_WORDS, LOW_CONTRAST, NAMED_ROLES

__all__ = ["site"]

# One of each kind: the start, prose, tables, long tables of numbers, code, a part, a runbook.
PAGES = (
    "",
    "how-to/",
    "first-service/",
    "tour/",
    "troubleshooting/",
    "benchmarks/",
    "parts/proxy/",
    "runbooks/pooler-near-budget/",
    "reference/numbers/",
    "reference/cli/",
)
# A phone, and a laptop.
WIDTHS = (360, 1280)
# A question as a reader types it, and the page that has the answer.
QUESTIONS = (
    ("how many workers", "parts/application/"),
    ("rollback", "how-to/"),
    ("restore a backup", "parts/database/"),
    ("why is my service not ready", "troubleshooting/"),
    ("limit connections", "how-to/"),
    ("run a migration before the new version", "parts/migrations/"),
    ("add a background worker", "parts/background/"),
    ("use an existing database", "parts/database/"),
    ("https and a host name", "parts/exposure/"),
    ("private registry", "how-to/"),
    ("deploy with Argo CD", "gitops/"),
    ("delete a service", "uninstall/"),
    ("upgrade the operator", "upgrade/"),
    ("read the logs", "deploy/"),
    ("my app is slow", "observability/"),
    ("environment variables", "reference/environment/"),
    ("too many connections", "runbooks/database-near-max-connections/"),
    ("upload of large files", "how-to/"),
    ("Celery", "apps/"),
    ("ip address of the client", "parts/exposure/"),
    ("out of memory", "runbooks/out-of-memory/"),
    ("postgres password", "how-to/"),
    ("sqlite", "apps/"),
    ("stop all pods", "parts/autoscaling/"),
    ("503", "overload/"),
)


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Writes nothing."""


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    """Yields the address of a server with the built site."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=site)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    packages.ensure(PACKAGES)
    with browser() as running:
        yield running


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_a_page_is_legible_and_requests_nothing_from_elsewhere(
    chromium: Browser, address: str, path: str, dark: bool
) -> None:
    chromium.show(dark=dark)
    chromium.visit(address + path)
    ground = chromium.run("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(255, 255, 255)") is not dark
    contrast = chromium.run(LOW_CONTRAST)
    assert contrast["low"] == []
    assert contrast["read"] > 40
    nameless = {role for role, name in chromium.accessible() if role in NAMED_ROLES and not name}
    assert not nameless
    assert chromium.run("document.querySelectorAll('img:not([alt])').length") == 0
    assert [url for url in chromium.requests if not url.startswith((address, "data:"))] == []
    assert not chromium.errors


@pytest.mark.parametrize("width", WIDTHS)
def test_every_page_fits_the_window_and_breaks_no_word_of_a_table(
    chromium: Browser, address: str, site: Path, width: int
) -> None:
    chromium.show(width=width)
    for page in sorted(site.glob("**/index.html")):
        path = page.parent.relative_to(site).as_posix()
        chromium.visit(f"{address}{path}/" if path != "." else address)
        assert chromium.run("document.documentElement.scrollWidth") <= width, path
        assert chromium.run(BROKEN_WORDS) == [], path


def test_a_keyboard_skips_to_the_content_and_shows_where_it_is(
    chromium: Browser, address: str
) -> None:
    chromium.show()
    chromium.visit(f"{address}how-to/")
    chromium.press("Tab", 9)
    assert chromium.run("document.activeElement.matches('.md-skip')")
    chromium.press("Enter", 13, "\r")
    chromium.press("Tab", 9)
    assert chromium.run("document.activeElement.closest('article') !== null")
    for _ in range(20):
        style = "getComputedStyle(document.activeElement)"
        assert chromium.run(f"{style}.outlineStyle") != "none", "the focus is not visible"
        place = chromium.run("document.activeElement.getBoundingClientRect().toJSON()")
        assert place["top"] >= 0 and place["bottom"] <= 900 and place["width"] > 0
        chromium.press("Tab", 9)


def test_a_keyboard_searches(chromium: Browser, address: str) -> None:
    chromium.show()
    chromium.visit(address)
    chromium.press("/", 191, "/")
    assert chromium.run("document.activeElement.name") == "query"
    chromium.send("Input.insertText", text="uninstall")
    _results(chromium)
    chromium.press("ArrowDown", 40)
    assert chromium.run("document.activeElement.pathname") == "/uninstall/"


@pytest.mark.parametrize(("question", "answer"), QUESTIONS)
def test_the_answer_is_among_the_first_three_results(
    chromium: Browser, address: str, question: str, answer: str
) -> None:
    chromium.show()
    chromium.visit(f"{address}?q={quote(question)}")
    found = _results(chromium)
    assert answer in found[:3], found[:5]


def _results(chromium: Browser) -> list[str]:
    """Returns the paths of the results of a search, the best first."""
    items = "[...document.querySelectorAll('.md-search-result__item > a:first-child')]"
    deadline = time.monotonic() + 20
    while not (found := chromium.run(f"{items}.map((link) => link.pathname.slice(1))")):
        assert time.monotonic() < deadline, "the search finds nothing"
        time.sleep(0.05)
    return list(found)
