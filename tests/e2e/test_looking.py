"""``shell``, ``psql`` and ``redis-cli`` in the pods of the shop, as a person types them."""

import os
import re
import shutil
import subprocess
import sys

import pytest

from fastapi_operator.cli.psql import Role
from tests.cluster import node
from tests.e2e.conftest import NODE, Shop
from tests.e2e.test_doctor import MAIN

pytestmark = pytest.mark.node

PSQL = ("-X", "-q", "-tA")


def look(
    shop: Shop, command: str, *arguments: str, text: str = ""
) -> subprocess.CompletedProcess[str]:
    """A command about the shop, with the node's kubectl."""
    programs = node.Node(NODE).programs
    options = ("-n", shop.namespace, "--kubeconfig", str(shop.kubectl.kubeconfig))
    return subprocess.run(
        [sys.executable, "-c", MAIN, command, shop.name, *options, *arguments],
        input=text,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"},
    )


def test_a_shell_has_the_environment_and_the_code_of_the_service(shop: Shop) -> None:
    code = "import os, shop.main; print(os.environ['WEB_CONCURRENCY'], type(shop.main.app))"
    done = look(shop, "shell", "--", "python", "-c", code)
    assert re.search(r"^\d+ <class ", done.stdout, re.MULTILINE), done.stderr
    # A program reads its standard input, and its exit status is that of the command.
    assert look(shop, "shell", text="print(6 * 7)").stdout == "42\n"
    assert look(shop, "shell", "--", "python", "-c", "raise SystemExit(3)").returncode == 3


@pytest.mark.parametrize("local", [(), ("--local",)])
@pytest.mark.parametrize(("role", "user"), [(Role.APP, "app"), (Role.OWNER, "migrator")])
def test_psql_has_the_rights_of_the_role(
    shop: Shop, local: tuple[str, ...], role: Role, user: str
) -> None:
    if local and shutil.which("psql") is None:
        pytest.skip("this machine has no psql")
    options = (*local, "--role", role.value, "--", *PSQL)
    done = look(shop, "psql", *options, "-c", "select current_user")
    assert done.stdout == f"{user}\n", done.stderr
    script = "\\set ON_ERROR_STOP on\nselect 1/0;\n"
    failed = look(shop, "psql", *options, "-f", "-", text=script)
    assert (failed.returncode, "division by zero" in failed.stderr) == (3, True)


def test_the_app_has_no_rights_of_the_owner_and_the_superuser_has_all(shop: Shop) -> None:
    query = ("--", *PSQL, "-c", "create table not_of_the_app (id int); drop table not_of_the_app")
    assert "permission denied" in look(shop, "psql", *query).stderr
    assert look(shop, "psql", "--role", "superuser", *query).returncode == 0


def test_redis_cli_connects_as_the_user_of_the_app(shop: Shop) -> None:
    assert look(shop, "redis-cli", "--", "ping").stdout == "PONG\n"
    refused = look(shop, "redis-cli", "--", "config", "get", "maxmemory")
    assert "NOPERM" in refused.stdout + refused.stderr


def test_logs_have_the_pod_of_each_line(shop: Shop) -> None:
    assert shop.request("GET", "/items").status == 200
    done = look(shop, "logs", "--part", "proxy", "--tail", "5")
    lines = done.stdout.splitlines()
    assert lines, done.stderr
    assert all(line.startswith(f"{shop.name}-proxy-") for line in lines)
