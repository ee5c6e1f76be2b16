"""Pages as one file: templates with escaping, styles and scripts inline, and no request."""

import base64
import functools
import hashlib
from collections.abc import Mapping
from importlib import resources

import jinja2
from markupsafe import Markup

from fastapi_operator import __version__


def render(template: str, **values: object) -> str:
    """Renders a page; a value that the template uses and the call omits is an error."""
    return _environment().get_template(template).render({**_assets(), **values})


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("fastapi_operator.views"),
        # Names, reasons and values come from users.
        autoescape=True,
        auto_reload=False,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["breakable"] = breakable
    return environment


def breakable(name: str) -> Markup:
    """Returns a name that a narrow column may break after a dot or an underscore."""
    escaped = str(Markup.escape(name))
    return Markup(escaped.replace("_", "_<wbr>").replace(".", ".<wbr>"))  # noqa: S704 (escaped)


@functools.cache
def _assets() -> Mapping[str, object]:
    """Returns the style sheet and the script, with the policy that permits only these two."""
    style, script = (_read(name) for name in ("page.css", "page.js"))
    return {
        "version": __version__,
        "style": Markup(style),  # noqa: S704 (our own file)
        "script": Markup(script),  # noqa: S704 (our own file)
        "policy": f"default-src 'none'; style-src {_digest(style)}; script-src {_digest(script)}; "
        "base-uri 'none'; form-action 'none'",
    }


def _read(name: str) -> str:
    return resources.files("fastapi_operator.views").joinpath("templates", name).read_text("utf-8")


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
