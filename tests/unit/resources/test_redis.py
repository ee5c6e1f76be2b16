"""What the pages about cache and queue tell their readers to type works on either engine."""

import re
import shlex
from pathlib import Path

import pytest

from fastapi_operator.cli import redis_cli
from tests.cluster import places
from tests.unit.resources.stores import ALTERNATE, ENGINES, MONITOR, PASSWORD, Store

_PAGES = {"redis": "cache", "queue": "queue"}
_COMMAND = re.compile(
    r"^kubectl exec .* redis-cli --user (monitor|\$\(.+?\)) (.+?)'?$", re.MULTILINE
)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", _PAGES)
def test_documented_commands_are_permitted(tmp_path: Path, name: str, engine: str) -> None:
    page = (places.REPOSITORY / f"docs/parts/{_PAGES[name]}.md").read_text()
    commands = _COMMAND.findall(page)
    assert len(commands) == 3
    store = Store(tmp_path, name, engine, **{name: {"engine": engine}})
    with store.running():
        store.ask("LPUSH", "celery", "message")
        for user, command in commands:
            who = {"user": user, "password": MONITOR} if user == "monitor" else {}
            answer = store.ask(*shlex.split(command), **who)
            assert answer, command
            assert not re.match("ERR|NOPERM|WRONGTYPE|Unrecognized", answer), (command, answer)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", _PAGES)
def test_a_client_that_knows_only_a_password_connects_as_the_default_user(
    tmp_path: Path, name: str, engine: str
) -> None:
    spec = {name: {"engine": engine}}
    store = Store(tmp_path / "own", name, engine, **spec)
    with store.running():
        assert "WRONGPASS" in store.ask_with_password(PASSWORD, "PING")
    connections = {name: {"user": "Default"}}
    store = Store(tmp_path / "default", name, engine, **spec, connections=connections)
    with store.running():
        # Both passwords of the app, so that a rotation changes the one that is not in use.
        for password in (PASSWORD, ALTERNATE):
            assert store.ask_with_password(password, "PING") == "PONG"
        assert store.ask("PING") == "PONG"
        assert "WRONGPASS" in store.ask_with_password("other", "PING")
        assert "NOPERM" in store.ask_with_password(PASSWORD, "ACL", "LIST")
        assert (
            "NOAUTH"
            in store.pod.run(f"{store.engine}-cli", "-p", str(store.pod.port(6379)), "PING").stdout
        )


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("user", "password"), [("app", PASSWORD), ("app_alternate", ALTERNATE)])
def test_the_command_redis_cli_connects_as_the_active_user(
    tmp_path: Path, engine: str, user: str, password: str
) -> None:
    store = Store(tmp_path, "redis", engine, redis={"engine": engine})
    store.pod.write(f"/etc/{store.engine}", {"username": user, "password": password})

    def ask(*command: str) -> str:
        options = ["-p", "6379", *command]
        return store.pod.run(*redis_cli.command(store.engine, options)).stdout.strip()

    with store.running():
        assert ask("set", "a key", "a value") == "OK"
        assert ask("get", "a key") == "a value"
        assert ask("config", "get", "maxmemory").startswith("NOPERM ")
