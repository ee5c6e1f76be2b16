"""The queue's configuration and users, run by a real Redis and a real Valkey."""

import shutil
import time
from pathlib import Path

import pytest

from tests.unit.resources.operands import eventually
from tests.unit.resources.stores import ENGINES, Store

pytestmark = pytest.mark.parametrize("engine", ENGINES)


def queue(root: Path, engine: str, memory: str = "64Mi") -> Store:
    return Store(root, "queue", engine, queue={"memory": memory, "engine": engine})


def test_messages_survive_a_server_killed_two_seconds_later(tmp_path: Path, engine: str) -> None:
    store = queue(tmp_path, engine)
    with store.running() as process:
        answers = store.pipe([f"LPUSH jobs message-{i}" for i in range(2000)])
        assert answers.split()[-1] == "2000"
        # A write waits for a sync that is under way, yet no longer than this.
        time.sleep(2.1)
        process.kill()
        process.wait()
    with store.running():
        assert store.ask("LLEN", "jobs") == "2000"
        assert store.ask("RPOP", "jobs") == "message-0"


def test_a_log_truncated_by_a_crash_does_not_prevent_the_start(tmp_path: Path, engine: str) -> None:
    store = queue(tmp_path, engine)
    with store.running() as process:
        assert store.pipe(["LPUSH jobs first", "LPUSH jobs second"]).split() == ["1", "2"]
        logs = store.pod.paths[f"/var/lib/{store.engine}"] / "appendonlydir"
        (log,) = logs.glob("*.incr.aof")
        eventually(lambda: log.read_bytes().endswith(b"second\r\n"), "the log is written")
        process.kill()
        process.wait()
    log.write_bytes(log.read_bytes()[:-5])
    with store.running():
        assert store.ask("LRANGE", "jobs", "0", "-1") == "first"


def test_messages_survive_a_clean_stop_and_a_rewritten_log(tmp_path: Path, engine: str) -> None:
    store = queue(tmp_path, engine, memory="512Mi")
    blob = "x" * 100_000
    # 90 MB of log for one small message: more than the 64 MiB from which it is rewritten.
    with store.running():
        store.ask("LPUSH", "jobs", "kept")
        store.pipe([f"SET churn {blob}{i}" for i in range(900)])
    logs = store.pod.paths[f"/var/lib/{store.engine}"] / "appendonlydir"
    assert sum(path.stat().st_size for path in logs.iterdir()) < 60 * 2**20
    with store.running():
        assert store.ask("LRANGE", "jobs", "0", "-1") == "kept"


def test_a_full_queue_rejects_messages_and_drops_none(tmp_path: Path, engine: str) -> None:
    store = queue(tmp_path, engine, memory="32Mi")
    with store.running():
        answers = store.pipe([f"LPUSH jobs {'x' * 8000}" for _ in range(4000)]).splitlines()
        taken = [answer for answer in answers if answer.isdigit()]
        assert 0 < len(taken) < 4000
        assert any(answer.startswith("OOM") for answer in answers)
        assert store.ask("LLEN", "jobs") == str(len(taken))
        # What is in it can still be worked on, which makes room.
        assert store.ask("LTRIM", "jobs", "0", "9") == "OK"
        assert store.ask("LPUSH", "jobs", "next") == "11"


def test_libraries_can_use_the_queue_and_no_user_can_empty_it(tmp_path: Path, engine: str) -> None:
    store = queue(tmp_path, engine)
    with store.running():
        for command in (
            "BRPOP jobs 0.01",
            "ZADD unacked 1 message",
            "XADD stream * field value",
            "EVAL return(redis.call('TIME')[1]) 0",
            "PUBLISH events message",
            "CLIENT SETNAME worker",
            "INFO server",
        ):
            assert "NOPERM" not in store.pipe([command]), command
        for command in ("FLUSHALL", "FLUSHDB", "CONFIG SET save x", "SHUTDOWN", "KEYS *"):
            assert "NOPERM" in store.ask(*command.split()), command
        assert "aof_enabled:1" in store.ask("INFO", "persistence")
        assert "maxmemory_policy:noeviction" in store.ask("INFO", "memory")


def test_each_engine_reads_the_log_of_the_other(tmp_path: Path, engine: str) -> None:
    (other,) = set(ENGINES) - {engine}
    store = queue(tmp_path / "first", engine)
    with store.running():
        store.pipe(["LPUSH jobs message", "HSET unacked tag body", "ZADD index 5 tag"])
    after = queue(tmp_path / "second", other)
    here, there = (s.pod.paths[f"/var/lib/{s.engine}"] for s in (store, after))
    shutil.copytree(here, there, dirs_exist_ok=True)
    for path in there.rglob("*"):
        shutil.chown(path, there.owner())
    with after.running():
        assert after.ask("LRANGE", "jobs", "0", "-1") == "message"
        assert after.ask("HGET", "unacked", "tag") == "body"
        assert after.ask("ZSCORE", "index", "tag") == "5"
