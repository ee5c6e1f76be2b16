"""What the pages about cache and queue tell their readers to type works on either engine."""

import re
import shlex
from pathlib import Path

import pytest

from tests.cluster import places
from tests.unit.resources.stores import ENGINES, MONITOR, Store

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
