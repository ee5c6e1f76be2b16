"""``fastapi-operator``, also as ``kubectl fastapi``: the root of the command line.

Commands are imported when they are called: ``explain`` must not pay for the operator's imports,
and must never load kopf or kubernetes.
"""

import gc
import importlib
from typing import Any

import typer
from typer.core import TyperGroup

# Command to the first line of its help, in the order of the help page.
_COMMANDS = {
    "init": "Write a service for an existing FastAPI project.",
    "explain": "Show every derived number with its reason.",
    "validate": "Check services by schema, rules and plan.",
    "render": "Print every object the operator would apply.",
    "env": "Print the tuned environment as dotenv, for a laptop.",
    "crd": "Print the CustomResourceDefinition.",
    "monitoring": "Print the shared alerts, dashboards and monitor.",
    "diff": "Show what the operator would change.",
    "status": "Show the parts of a service as they are now.",
    "doctor": "Say why a service is slow, and what to change.",
    "profile": "Write a flame graph of the pod that is worst off.",
    "measure": "Print a traffic block for the spec from what runs.",
    "restart": "Replace the app's pods one after another.",
    "rotate": "Change the service's credentials under traffic.",
    "suspend": "Stop reconciling a service, or resume.",
    "run": "Run the operator.",
}


class _LazyGroup(TyperGroup):
    """Knows the names of all commands and imports one when it is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        return list(_COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        if cmd_name not in _COMMANDS:
            return None
        gc.disable()  # Nothing that an import makes is garbage: a twentieth of the start.
        module = importlib.import_module(f"fastapi_operator.cli.{cmd_name}")
        gc.freeze()
        gc.enable()
        single = typer.Typer(add_completion=False, rich_markup_mode=None)
        single.command(name=cmd_name, short_help=_COMMANDS[cmd_name])(getattr(module, cmd_name))
        return typer.main.get_command(single)

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002
        """Writes the list from the table, so that help imports no command."""
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


app = typer.Typer(
    cls=_LazyGroup,
    pretty_exceptions_enable=False,
    name="fastapi-operator",
    help="Work out, explain and keep every number of a FastAPI deployment.",
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
