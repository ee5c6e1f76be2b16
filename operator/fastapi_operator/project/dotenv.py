"""Lines of the form ``NAME=value``, as in a ``.env``."""

import re

_LINE = re.compile(r"(?:export\s+)?(?P<name>[A-Za-z_][A-Za-z0-9_.-]*)\s*=\s*(?P<value>.*)")
_QUOTED = re.compile(r"(?P<quote>['\"])(?P<value>.*?)(?P=quote)\s*(#.*)?")
_COMMENT = re.compile(r"(^|\s+)#.*")


def is_empty(line: str) -> bool:
    """Whether a line has neither a name nor a value."""
    return not line.strip() or line.strip().startswith("#")


def read_line(line: str) -> tuple[str, str] | None:
    """Returns name and value, without quotes and the comment after it; None for another form."""
    match = _LINE.fullmatch(line.strip())
    if match is None:
        return None
    quoted = _QUOTED.fullmatch(match["value"])
    return match["name"], quoted["value"] if quoted else _COMMENT.sub("", match["value"])
