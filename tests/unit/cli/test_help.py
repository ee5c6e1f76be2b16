"""The help pages: one convention for all commands, and 80 columns."""

import re
from typing import Any

import pytest
import typer

from fastapi_operator.cli.main import app
from tests.unit.cli.test_commands import invoke

ROOT: Any = typer.main.get_command(app)
COMMANDS: dict[str, Any] = {name: ROOT.get_command(None, name) for name in ROOT.list_commands(None)}
HELP_NAMES = ["-h", "--help"]
WIDTH = 80


def help_page(name: str) -> str:
    command = COMMANDS[name]
    context = command.context_class(
        command,
        info_name=f"fastapi-operator {name}",
        terminal_width=WIDTH,
        help_option_names=HELP_NAMES,
    )
    return str(command.get_help(context))


@pytest.mark.parametrize("name", COMMANDS)
def test_list_of_commands_repeats_the_first_line_of_each_page(name: str) -> None:
    first = COMMANDS[name].help.partition("\n")[0]

    assert COMMANDS[name].short_help == first
    assert re.fullmatch(r"[A-Z][a-z]+ .*\.", first)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_page_has_examples_and_exit_statuses_within_80_columns(name: str) -> None:
    page = help_page(name)

    assert re.search(rf"\n  Examples:\n    .*fastapi-operator {name}\b", page), page
    assert re.search(r"\n  Exit status:\n    0  \S", page), page
    assert max(map(len, page.splitlines())) <= WIDTH


@pytest.mark.parametrize(
    "parameter",
    [
        pytest.param(parameter, id=f"{name}-{parameter.name}")
        for name, command in COMMANDS.items()
        for parameter in command.params
    ],
)
def test_help_of_a_parameter_is_a_sentence_with_a_metavar(parameter: Any) -> None:
    assert re.match(r"[A-Z]", parameter.help)
    assert parameter.help.endswith(".")
    takes_a_value = not getattr(parameter, "is_flag", False)
    if takes_a_value and not parameter.type_descriptor.is_choice:
        assert re.fullmatch(r"[A-Z]+(=[A-Z]+)?", parameter.metavar or "")


def test_an_option_has_the_same_metavar_and_help_in_every_command() -> None:
    found: dict[str, set[tuple[str, str]]] = {}
    for command in COMMANDS.values():
        for option in command.params:
            if option.name in {"settings", "profiles", "facts", "context", "url"}:
                found.setdefault(option.name, set()).add((option.metavar, option.help))

    assert {name: len(texts) for name, texts in found.items()} == dict.fromkeys(found, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("deply",), "No such command 'deply'; did you mean deploy?\n"),
        (("apply-to-all",), "No such command 'apply-to-all'.\n"),
        (("rollback", "shop", "--to", "x"), "Invalid value for '--to': must be a valid integer\n"),
        (("logs", "shop", "--part", "ap"), "Invalid value for '--part': 'ap' is not one of 'app'"),
    ],
)
def test_a_mistyped_command_or_value_is_named(arguments: tuple[str, ...], message: str) -> None:
    result = invoke(*arguments)

    assert result.exit_code == 2
    assert f"Error: {message}" in result.stderr
