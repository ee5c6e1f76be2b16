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

from tests.browser import Browser
from tests.docs.test_site import site
from tests.full.legible import BARRIERS, BROKEN_WORDS, LOW_CONTRAST, NAMED_ROLES

__all__ = ["site"]

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
    ("sticky sessions", "how-to/"),
    ("session affinity", "how-to/"),
    ("multiple hosts", "parts/exposure/"),
    ("several domains", "parts/exposure/"),
    ("pause reconciliation", "how-to/"),
    ("502 bad gateway", "troubleshooting/"),
    ("504 gateway timeout", "troubleshooting/"),
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


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_every_page_is_legible_has_no_barrier_and_requests_nothing_from_elsewhere(
    chromium: Browser, address: str, site: Path, dark: bool
) -> None:
    chromium.show(dark=dark)
    problems = []
    for path in _paths(site):
        chromium.visit(address + path)
        chromium.run("new Promise((done) => setTimeout(done, 100))")  # scripts of the page
        ground = chromium.run("getComputedStyle(document.body).backgroundColor")
        assert (ground == "rgb(255, 255, 255)") is not dark
        contrast = chromium.run(LOW_CONTRAST)
        assert contrast["read"] > 20, path
        nameless = {f"no name: {role}" for role, name in chromium.accessible() if not name.strip()}
        elsewhere = [url for url in chromium.requests if not url.startswith((address, "data:"))]
        found = [*contrast["low"], *chromium.run(BARRIERS), *elsewhere, *chromium.errors]
        found += [item for item in nameless if item.split()[-1] in NAMED_ROLES]
        problems += [f"/{path}: {item}" for item in found]
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("width", WIDTHS)
def test_every_page_fits_the_window_and_breaks_no_word_of_a_table(
    chromium: Browser, address: str, site: Path, width: int
) -> None:
    chromium.show(width=width)
    for path in _paths(site):
        chromium.visit(address + path)
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
def test_the_answer_is_among_the_first_two_results(
    chromium: Browser, address: str, question: str, answer: str
) -> None:
    chromium.show()
    chromium.visit(f"{address}?q={quote(question)}")
    found = _results(chromium)
    assert answer in found[:2], found[:5]


def _paths(site: Path) -> list[str]:
    """Returns the paths of all pages."""
    found = (page.parent.relative_to(site).as_posix() for page in site.glob("**/index.html"))
    return sorted("" if path == "." else f"{path}/" for path in found)


def _results(chromium: Browser) -> list[str]:
    """Returns the paths of the results of a search, the best first."""
    items = "[...document.querySelectorAll('.md-search-result__item > a:first-child')]"
    deadline = time.monotonic() + 20
    while not (found := chromium.run(f"{items}.map((link) => link.pathname.slice(1))")):
        assert time.monotonic() < deadline, "the search finds nothing"
        time.sleep(0.05)
    return list(found)
