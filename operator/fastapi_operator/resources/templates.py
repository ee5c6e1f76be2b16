"""Configuration files and scripts, printed from ``templates/``."""

import contextlib
import functools
from collections.abc import Iterator
from contextvars import ContextVar
from typing import TYPE_CHECKING

from fastapi_operator import quantity

if TYPE_CHECKING:
    import jinja2

_PRINTED = ContextVar("printed", default=True)
_POSTGRES_UNITS = {"Ti": "TB", "Gi": "GB", "Mi": "MB", "Ki": "kB"}


def render(template: str, **values: object) -> str:
    """A file from its template; a value that the template lacks or the call forgets is an error."""
    return _environment().get_template(template).render(values) if _PRINTED.get() else ""


def load() -> None:
    """Reads all templates now, for a process that will print: its first service need not wait."""
    for name in _environment().list_templates():
        _environment().get_template(name)


@contextlib.contextmanager
def unprinted() -> Iterator[None]:
    """Leaves every file empty: for who asks how large the objects are, not what they say."""
    token = _PRINTED.set(False)
    try:
        yield
    finally:
        _PRINTED.reset(token)


@functools.cache
def _environment() -> "jinja2.Environment":
    # Takes as long to import as the rest of a plan does to make, and explain prints no file.
    import jinja2  # noqa: PLC0415

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("fastapi_operator"),
        # nginx, PgBouncer, SQL and shell; every value in them is checked by the schema.
        autoescape=False,  # noqa: S701
        # They are part of the program; jinja2 would look at each file's time whenever it prints.
        auto_reload=False,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(_FILTERS)
    return environment


def postgres_size(size: int) -> str:
    """Bytes in the units of postgresql.conf: ``256MB``."""
    text = quantity.format_bytes(size)
    return (
        f"{text[:-2]}{_POSTGRES_UNITS[text[-2:]]}" if text[-2:] in _POSTGRES_UNITS else f"{text}B"
    )


def nginx_size(size: int) -> str:
    """Bytes in nginx's units: ``10m``, ``8k``, or plain."""
    for unit, factor in (("g", 2**30), ("m", 2**20), ("k", 2**10)):
        if size and size % factor == 0:
            return f"{size // factor}{unit}"
    return str(size)


def variable(header: str) -> str:
    """A header as nginx names it in its variables: ``x_frame_options``."""
    return header.lower().replace("-", "_")


_FILTERS = {"postgres_size": postgres_size, "nginx_size": nginx_size, "variable": variable}
