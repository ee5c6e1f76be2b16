"""The commands that run in pods: complete, and without a password."""

import pytest

from fastapi_operator.cli import in_pod, psql, redis_cli, shell
from fastapi_operator.cli.psql import Role


def test_kubectl_gets_the_context_of_the_command() -> None:
    place = {"namespace": "team", "context": "far", "kubeconfig": "/k"}
    made = in_pod.exec_command("shop-1", "app", ["python", "-q"], terminal=True, **place)
    assert " ".join(made) == (
        "kubectl --kubeconfig /k --context far exec --namespace team --stdin --tty shop-1 "
        "--container app -- python -q"
    )
    here = {"namespace": "team", "context": None, "kubeconfig": None}
    made = in_pod.exec_command("shop-1", "app", ["python"], terminal=False, **here)
    assert " ".join(made) == (
        "kubectl exec --namespace team --stdin shop-1 --container app -- python"
    )


@pytest.mark.parametrize(
    ("command", "python"),
    [
        ((), "python"),
        (("uvicorn", "shop:app"), "python"),
        (("/app/.venv/bin/uvicorn", "shop:app"), "/app/.venv/bin/python"),
        (("/app/start.sh",), "python"),
    ],
)
def test_the_shell_is_the_python_beside_the_server(command: tuple[str, ...], python: str) -> None:
    assert shell.python_of(command) == python


@pytest.mark.parametrize(
    ("role", "variables"),
    [
        (Role.APP, ["PGHOST=/run/postgresql", "PGOPTIONS=-c role=app"]),
        (Role.OWNER, ["PGHOST=/run/postgresql", "PGOPTIONS=-c role=migrator"]),
        (Role.SUPERUSER, ["PGHOST=/run/postgresql"]),
    ],
)
def test_psql_connects_over_the_socket_and_takes_the_role(role: Role, variables: list[str]) -> None:
    made = psql.command(role, ["-c", "select 1"], socket="/run/postgresql")
    assert made == ["env", *variables, "psql", "-U", "postgres", "-d", "app", "-c", "select 1"]


def test_psql_takes_the_only_role_of_cloudnativepg_as_the_owner() -> None:
    made = psql.command(Role.OWNER, [], socket="", owner="app")
    assert made == ["env", "PGOPTIONS=-c role=app", "psql", "-U", "postgres", "-d", "app"]


@pytest.mark.parametrize("program", ["redis", "valkey"])
def test_redis_cli_reads_the_password_in_the_pod(program: str) -> None:
    shell_name, option, script, *words = redis_cli.command(program, ["info", "a b"])
    assert (shell_name, option) == ("sh", "-c")
    assert f'REDISCLI_AUTH="$(cat /etc/{program}/password)"' in script
    assert script.endswith(f'exec {program}-cli --user "$(cat /etc/{program}/username)" "$@"')
    assert words == [f"{program}-cli", "info", "a b"]
