"""Completion of the names of services, and completion for ``kubectl fastapi``.

Completion of commands and options needs no cluster: ``--install-completion`` installs it.
"""

import contextlib
import io
import os
import shlex
import sys

import typer

# The user waits at the prompt.
_SECONDS = 2.0
_VARIABLE = "_FASTAPI_OPERATOR_COMPLETE"
# Directives of kubectl: complete names of files, or only the printed words.
_FILES, _WORDS = ":0", ":4"


def service_names(ctx: typer.Context, incomplete: str) -> list[str]:
    """Returns the services of the namespace that begin with a text; none if that fails."""
    place = {name: ctx.params.get(name) for name in ("kubeconfig", "context", "namespace")}
    # A message would appear within the line that is being typed.
    with contextlib.suppress(Exception), contextlib.redirect_stderr(io.StringIO()):
        # Imported only here, so that commands without a cluster never load its client.
        from fastapi_operator.cli.names import read_names  # noqa: PLC0415

        return [
            name for name in read_names(**place, seconds=_SECONDS) if name.startswith(incomplete)
        ]
    return []


def kubectl() -> None:
    """Entry point of ``kubectl_complete-fastapi``, which kubectl runs to complete its plugin."""
    from fastapi_operator.cli.main import app  # noqa: PLC0415

    words = sys.argv[1:] or [""]
    os.environ[_VARIABLE] = "complete_bash"
    os.environ["COMP_WORDS"] = shlex.join(["fastapi-operator", *words])
    os.environ["COMP_CWORD"] = str(len(words))
    with contextlib.redirect_stdout(io.StringIO()) as output, contextlib.suppress(SystemExit):
        app(prog_name="fastapi-operator")
    found = output.getvalue().strip()
    typer.echo(f"{found}\n{_WORDS}" if found else _FILES)
