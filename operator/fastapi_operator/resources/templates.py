"""Configuration files and scripts, printed from ``templates/``."""

import jinja2

from fastapi_operator import quantity

_ENVIRONMENT = jinja2.Environment(
    loader=jinja2.PackageLoader("fastapi_operator"),
    # The files are nginx, PgBouncer, SQL and shell; every value in them is checked by the schema.
    autoescape=False,  # noqa: S701
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)
_POSTGRES_UNITS = {"Ti": "TB", "Gi": "GB", "Mi": "MB", "Ki": "kB"}


def render(template: str, **values: object) -> str:
    """A file from its template; a value that the template lacks or the call forgets is an error."""
    return _ENVIRONMENT.get_template(template).render(values)


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


_ENVIRONMENT.filters["postgres_size"] = postgres_size
_ENVIRONMENT.filters["nginx_size"] = nginx_size
_ENVIRONMENT.filters["variable"] = variable
