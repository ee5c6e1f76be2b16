"""The documentation as a site: it builds without a warning and renders as intended."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.blocks import ROOT


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the built site; fails on a warning of MkDocs."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder],
        cwd=ROOT,
        capture_output=True,
        text=True,
        # A notice of Material does not concern these pages.
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stderr
    return folder


def test_every_page_of_docs_is_on_the_site(site: Path) -> None:
    pages = {path.relative_to(ROOT / "docs").with_suffix("") for path in ROOT.glob("docs/**/*.md")}
    built = {path.relative_to(site).parent for path in site.glob("**/index.html")}
    assert {page.parent if page.name == "index" else page for page in pages} <= built


@pytest.mark.parametrize("folder", ["decisions", "parts", "runbooks"])
def test_an_index_lists_every_page_of_its_folder(folder: str) -> None:
    pages = {path.name for path in (ROOT / "docs" / folder).glob("*.md")} - {"index.md"}
    index = (ROOT / "docs" / folder / "index.md").read_text()
    assert pages <= set(re.findall(r"\]\(([^)#]+)", index))


def test_no_fence_is_left_as_text(site: Path) -> None:
    for page in site.glob("**/index.html"):
        article = page.read_text().partition("<article")[2].partition("</article>")[0]
        prose = re.sub(r"<(pre|code)\b.*?</\1>", "", article, flags=re.DOTALL)
        assert "```" not in prose, f"{page.parent.relative_to(site)}: indent lists by four"


def test_pages_load_only_their_own_files(site: Path) -> None:
    for page in site.glob("**/index.html"):
        loaded = re.findall(
            r'<(?:script|img|link rel="stylesheet")[^>]*(?:src|href)="(\w+:[^"]+)', page.read_text()
        )
        assert not loaded, page


def test_links_of_the_root_pages_have_targets() -> None:
    for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "manifests/README.md"):
        page = ROOT / name
        for target in re.findall(r"\]\((?!\w+:|#)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{name}: {target}"
