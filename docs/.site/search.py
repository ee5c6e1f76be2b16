"""Makes the search of the site answer questions as readers type them.

Material's search adds a "*" to each word of a question, so it neither drops common words nor knows
plurals: "restore a backup" found every title with a word that begins with "a". What separates words
is a setting, and it is applied to pages and to questions. So common words and the "s" of a plural
are separators.
"""

import re
from typing import Any

from mkdocs.plugins import event_priority

_COMMON = (
    "a about after all an and any are as at be before but by can could do does for from get "
    "has have how i if in into is it its many me much my new not of on one or our should "
    "so than that the their them then there these this to too up use we what when where which "
    "who why will with without would you your"
)
_MARKS = r"""[\s,;:!?()\[\]{}<>|"'`/=→…-]+|\.(?!\w)"""
_PLURAL = r"(?<=[a-z]{3})s\b"
# How much more a word in a title counts than one in the text.
_TITLE = 30
# Pages that record why or how much come after pages for readers who do something.
_RECORDS = r"decisions/|architecture|proofs|benchmarks|out-of-scope|releases|api-versions"
_WEIGHTS = ((_RECORDS, 0.2), (r"reference/|tuning", 0.4), (r"runbooks/", 0.7))


def separator() -> str:
    """Returns what separates words, as a regular expression of JavaScript without a flag."""
    common = "|".join(f"[{word[0].upper()}{word[0]}]{word[1:]}" for word in _COMMON.split())
    return rf"{_MARKS}|{_PLURAL}|\b(?:{common})\b"


def weight(path: str) -> float:
    """Returns the weight of a page in results."""
    return next((weight for pattern, weight in _WEIGHTS if re.match(pattern, path)), 1)


@event_priority(100)
def on_config(config: Any) -> Any:
    """Sets the separator before the search reads it."""
    search = config.plugins["material/search"].config
    search.separator = separator()
    search.fields = {"title": {"boost": float(_TITLE)}}
    return config


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Sets the weight of a page, unless it has its own."""
    page.meta.setdefault("search", {"boost": weight(page.file.src_uri)})
    return markdown
