"""Generated sections within pages that are otherwise written by hand.

A section begins with ``<!-- generated: SOURCE -->`` and ends with ``<!-- end of generated -->``.
"""

import re

_END = "<!-- end of generated -->"


def replaced(page: str, source: str, content: str) -> str:
    """Returns a page with the content of one section replaced.

    Args:
        page: The page's text.
        source: The source that the section's first comment names.
        content: The new content, without blank lines around it.

    Raises:
        ValueError: The page does not have exactly one such section.
    """
    start = f"<!-- generated: {source} -->"
    section = re.compile(f"{re.escape(start)}.*?{re.escape(_END)}", re.DOTALL)
    text, count = section.subn(lambda _: f"{start}\n\n{content}\n\n{_END}", page)
    if count != 1:
        raise ValueError(f"the page must have one section {start}, but has {count}")
    return text
