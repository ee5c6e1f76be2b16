"""Configuration files and scripts, rendered from ``templates/``."""

import contextlib
import functools
from collections.abc import Iterator
from contextvars import ContextVar
from typing import TYPE_CHECKING

from fastapi_operator import quantity

if TYPE_CHECKING:
    import jinja2

_RENDERS = ContextVar("renders", default=True)
_POSTGRES_UNITS = {"Ti": "TB", "Gi": "GB", "Mi": "MB", "Ki": "kB"}


def render(template: str, **values: object) -> str:
    """Renders a template; a value that the template uses and the call omits is an error."""
    return _environment().get_template(template).render(values) if _RENDERS.get() else ""


def load() -> None:
    """Reads all templates now, so that the first service of the operator need not wait."""
    for name in _environment().list_templates():
        _environment().get_template(name)


@contextlib.contextmanager
def unrendered() -> Iterator[None]:
    """Leaves every file empty, for callers that need only the sizes of the objects."""
    token = _RENDERS.set(False)
    try:
        yield
    finally:
        _RENDERS.reset(token)


@functools.cache
def _environment() -> "jinja2.Environment":
    # The import takes as long as deriving a plan, and explain renders no file.
    import jinja2  # noqa: PLC0415

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("fastapi_operator"),
        # nginx, PgBouncer, SQL and shell; the schema checks every value in them.
        autoescape=False,  # noqa: S701
        # They do not change at run time; otherwise jinja2 reads each file's time at each render.
        auto_reload=False,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(_FILTERS)
    return environment


def postgres_size(size: int) -> str:
    """Formats bytes in the units of postgresql.conf, for example ``256MB``."""
    text = quantity.format_bytes(size)
    return (
        f"{text[:-2]}{_POSTGRES_UNITS[text[-2:]]}" if text[-2:] in _POSTGRES_UNITS else f"{text}B"
    )


def nginx_size(size: int) -> str:
    """Formats bytes in nginx's units, for example ``10m`` or ``8k``."""
    for unit, factor in (("g", 2**30), ("m", 2**20), ("k", 2**10)):
        if size and size % factor == 0:
            return f"{size // factor}{unit}"
    return str(size)


def variable(header: str) -> str:
    """Formats a header as in nginx's variables, for example ``x_frame_options``."""
    return header.lower().replace("-", "_")


_FILTERS = {"postgres_size": postgres_size, "nginx_size": nginx_size, "variable": variable}
