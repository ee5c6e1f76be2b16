"""``fastapi-operator``, also as ``kubectl fastapi``: the root of the command line.

A command's module is imported only when the command is called: ``explain`` must not wait for the
operator's imports, and must never load kopf or kubernetes.
"""

import gc
import importlib
import inspect
import re
from typing import Any

import typer
from typer.core import TyperGroup

# Command to the first line of its help, in the order of the help page. The lines are repeated here
# so that the list of commands needs no import; a test compares them with the docstrings.
_COMMANDS = {
    "init": "Write a FastAPIService for an existing project.",
    "explain": "Show every derived number of a service with its reason.",
    "validate": "Check services against the schema, the rules and the plan.",
    "render": "Print every object that the operator would apply.",
    "env": "Print the app's environment as dotenv, for a local run.",
    "crd": "Print the CustomResourceDefinition.",
    "monitoring": "Print the shared alerts, dashboards and monitor.",
    "diff": "Show what the operator would change in the cluster.",
    "status": "Show the state of a service and of each part.",
    "doctor": "Find out why a service is slow and which field to change.",
    "profile": "Write a flame graph of an app pod.",
    "measure": "Measure a running service and print its traffic section.",
    "restart": "Restart the app's pods one after another.",
    "rotate": "Rotate the app's generated credentials without downtime.",
    "suspend": "Suspend or resume the reconciliation of a service.",
    "run": "Run the operator.",
}
# Sections of a docstring whose lines are printed as they are, not refilled.
_LITERAL_SECTION = re.compile(r"^(?=(?:Examples|Exit status):$)", re.MULTILINE)


class _LazyGroup(TyperGroup):
    """A group that knows the names of all commands and imports one when it is called."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        return list(_COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        if cmd_name not in _COMMANDS:
            return None
        gc.disable()  # Imports create no garbage: this saves a twentieth of the start.
        module = importlib.import_module(f"fastapi_operator.cli.{cmd_name}")
        gc.freeze()
        gc.enable()
        function = getattr(module, cmd_name)
        # \b keeps the line breaks of the paragraph that follows.
        text = _LITERAL_SECTION.sub("\b\n", inspect.cleandoc(function.__doc__))
        single = typer.Typer(add_completion=False, rich_markup_mode=None)
        single.command(name=cmd_name, help=text, short_help=_COMMANDS[cmd_name])(function)
        return typer.main.get_command(single)

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002
        """Writes the list from the table, so that help imports no command."""
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


app = typer.Typer(
    cls=_LazyGroup,
    pretty_exceptions_enable=False,
    name="fastapi-operator",
    help="Derive, explain and maintain every setting of a FastAPI deployment on Kubernetes.",
    epilog="Start with: fastapi-operator explain -f service.yaml",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def root() -> None:
    """The root has no options of its own."""


def main() -> None:
    """Entry point of both scripts."""
    app()
