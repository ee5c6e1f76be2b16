"""Adds to MkDocs: folders in the navigation, and links out of docs/.

Pages are written for readers of the repository: a link to a chart or to the sample app leads to
its folder. On the site, the same link leads to the repository on its host.
"""

import posixpath
import re
import textwrap
from pathlib import Path
from typing import Any

_LINK = re.compile(r"(?<=\]\()(?!\w+:|[/#])([^)#\s]+)")

_LISTED = re.compile(r"^ {3}```.*?^ {3}```$", re.MULTILINE | re.DOTALL)

# Of the theme: no page asks GitHub for stars, and the dialog of the search has a name.
_SEARCH = 'data-md-component="search" role="dialog"'
_CORRECTIONS = {
    'class="md-source" data-md-component="source"': 'class="md-source"',
    _SEARCH: f'{_SEARCH} aria-label="Search"',
}


# A part of the navigation and its title. The theme names it by a label, which has no text if the part
# has a page of its own.
_NAVIGATION = re.compile(
    r'aria-labelledby="__nav_[\d_]+_label"([^>]*>\s*<label class="md-nav__title"[^>]*>'
    r"\s*<span[^>]*></span>\s*)([^<]+?)(\s*</label>)"
)


def on_config(config: Any) -> Any:
    """Replaces a folder in the navigation, for example ``parts/``, by its pages."""
    docs = Path(config.docs_dir)

    def pages(folder: str) -> list[str]:
        found = sorted(path.relative_to(docs).as_posix() for path in docs.glob(f"{folder}*.md"))
        return sorted(found, key=lambda path: not path.endswith("/index.md"))

    def expanded(entries: list[Any]) -> list[Any]:
        found: list[Any] = []
        for entry in entries:
            if isinstance(entry, dict):
                ((title, inner),) = entry.items()
                found.append({title: expanded(inner) if isinstance(inner, list) else inner})
            else:
                found += pages(entry) if entry.endswith("/") else [entry]
        return found

    config.nav = expanded(config.nav)
    return config


def on_page_markdown(markdown: str, *, page: Any, config: Any, **_: Any) -> str:
    """Points links out of docs/ to the repository; MkDocs reports a link that leads to no file.

    In the repository, a fence in a list may be indented by three; Python's Markdown needs four.
    """
    markdown = _LISTED.sub(lambda match: textwrap.indent(match[0], " "), markdown)
    repository = Path(config.docs_dir).parent
    folder = posixpath.dirname(f"docs/{page.file.src_uri}")

    def lead(match: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(folder, match[1]))
        outside = not path.startswith(("docs/", "../")) and (repository / path).exists()
        return f"{config.repo_url}/blob/main/{path}" if outside else match[0]

    return _LINK.sub(lead, markdown)


def on_post_page(output: str, **_: Any) -> str:
    """Corrects what the theme writes."""
    for wrong, right in _CORRECTIONS.items():
        output = output.replace(wrong, right)
    return _NAVIGATION.sub(r'aria-label="\2"\1\2\3', output)
