"""``fastapi-operator``, also as ``kubectl fastapi``: the root of the command line.

A command's module is imported only when the command is called: ``explain`` must not wait for the
operator's imports, and must never load kopf or kubernetes.
"""

import difflib
import gc
import importlib
import inspect
import re
from types import SimpleNamespace
from typing import Any

import typer
from typer.core import TyperGroup

# Command to the first line of its help, in the order of the help page. The lines are repeated here
# so that the list of commands needs no import; a test compares them with the docstrings.
_COMMANDS = {
    "init": "Write a FastAPIService for an existing project.",
    "deploy": "Build a project's image and bring it to a URL.",
    "explain": "Show every derived number of a service with its reason.",
    "validate": "Check services against the schema, the rules and the plan.",
    "render": "Print every object that the operator would apply.",
    "env": "Print the app's environment as dotenv, for a local run.",
    "crd": "Print the CustomResourceDefinition.",
    "monitoring": "Print the shared alerts, dashboards and monitor.",
    "logs": "Print the logs of a service's pods.",
    "shell": "Open a Python shell in a pod of the service.",
    "psql": "Open psql on the database of a service.",
    "redis-cli": "Open redis-cli on the cache or the queue of a service.",
    "open": "Open a service in the browser.",
    "diff": "Show what the operator would change in the cluster.",
    "status": "Show the state of a service and of each part.",
    "doctor": "Find out why a service is slow and which field to change.",
    "profile": "Write a flame graph of an app pod.",
    "measure": "Measure a running service and print its traffic section.",
    "rollout": "Show the rollout of a service, with both versions of a canary.",
    "promote": "Release the version of a canary without further steps.",
    "abort": "Abort a canary and send all requests to the released version.",
    "rollback": "Go back to a released spec and report the effect on the schema.",
    "recommend": "Recommend better numbers for a service from a measurement.",
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
        name = cmd_name.replace("-", "_")
        gc.disable()  # Imports create no garbage: this saves a twentieth of the start.
        module = importlib.import_module(f"fastapi_operator.cli.{name}")
        gc.freeze()
        gc.enable()
        function = getattr(module, name)
        # \b keeps the line breaks of the paragraph that follows.
        text = _LITERAL_SECTION.sub("\b\n", inspect.cleandoc(function.__doc__))
        single = typer.Typer(add_completion=False, rich_markup_mode=None)
        single.command(name=cmd_name, help=text, short_help=_COMMANDS[cmd_name])(function)
        return typer.main.get_command(single)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Finds the command, or names the one that was probably meant."""
        near = difflib.get_close_matches(args[0], _COMMANDS, n=1)
        if near and args[0] not in _COMMANDS and not ctx.resilient_parsing:
            ctx.fail(f"No such command '{args[0]}'; did you mean {near[0]}?")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Runs the command; reports a refused value in the words of other errors."""
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            error.message = error.message.removeprefix("Value error, ")
            error.message = re.sub(
                r"^Input should be (a valid [a-z]+).*", r"must be \1", error.message
            )
            raise

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        """Completes the name of a command from the table, so that none is imported."""
        if incomplete.startswith("-"):
            options: list[Any] = super().shell_complete(ctx, incomplete)
            return options
        return [
            SimpleNamespace(type="plain", value=name, help=line)
            for name, line in _COMMANDS.items()
            if name.startswith(incomplete)
        ]

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
