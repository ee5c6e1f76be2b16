"""Completion: commands and options without a cluster, for the shell and for kubectl."""

import os
import subprocess
import sys

import pytest

CODE = "from fastapi_operator.cli.completion import kubectl; kubectl()"
LOADED = "; import sys; sys.stderr.write(str({'kopf', 'kubernetes'} & set(sys.modules)))"


def complete(*words: str, code: str = CODE) -> subprocess.CompletedProcess[str]:
    """What kubectl reads for the words after ``kubectl fastapi``."""
    environment = {**os.environ, "KUBECONFIG": os.devnull}
    return subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, env=environment
    )


@pytest.mark.parametrize(
    ("words", "lines"),
    [
        (("de",), ["deploy", ":4"]),
        (("logs", "shop", "--pa"), ["--part", ":4"]),
        (("psql", "shop", "--role", "o"), ["owner", ":4"]),
        # Files, as the shell completes them.
        (("deploy", "./"), [":0"]),
        (("explain", "-f", "serv"), [":0"]),
        # Without a cluster there are no names.
        (("status", "sh"), [":0"]),
    ],
)
def test_kubectl_completes_commands_options_and_values(
    words: tuple[str, ...], lines: list[str]
) -> None:
    done = complete(*words)
    assert (done.stdout.splitlines(), done.stderr) == (lines, "")


def test_commands_are_completed_without_the_client_of_a_cluster() -> None:
    done = complete("", code=CODE + LOADED)
    assert {"deploy", "redis-cli", "status"} <= set(done.stdout.split())
    assert done.stderr == "set()"
