"""The cache's configuration and users, run by a real Redis and a real Valkey."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.resources.operands import eventually
from tests.unit.resources.stores import ALTERNATE, ENGINES, MONITOR, PASSWORD, Store


@pytest.fixture(params=ENGINES)
def cache(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Store]:
    spec = {"memory": "128Mi", "engine": request.param}
    cache = Store(tmp_path, "redis", request.param, redis=spec)
    with cache.running():
        yield cache


def test_the_app_can_cache_publish_and_read_statistics(cache: Store) -> None:
    assert cache.ask("PING") == "PONG"
    assert cache.ask("SET", "key", "value", "EX", "60") == "OK"
    assert cache.ask("GET", "key") == "value"
    assert cache.ask("PUBLISH", "channel", "text") == "0"
    assert cache.ask("EVAL", "return redis.call('GET', KEYS[1])", "1", "key") == "value"
    assert "maxmemory_policy:allkeys-lru" in cache.ask("INFO", "memory")
    assert cache.ask("FLUSHDB") == "OK"


@pytest.mark.parametrize("command", ["CONFIG GET *", "KEYS *", "SHUTDOWN", "ACL LIST"])
def test_the_app_cannot_administer_the_server(cache: Store, command: str) -> None:
    assert "NOPERM" in cache.ask(*command.split())


def test_monitor_reads_statistics_and_no_key(cache: Store) -> None:
    assert cache.ask("SET", "key", "value") == "OK"
    for read in ("INFO ALL", "CONFIG GET maxmemory", "SLOWLOG LEN", "LATENCY LATEST"):
        assert "NOPERM" not in cache.ask(*read.split(), user="monitor", password=MONITOR), read
    for other in ("GET key", "SET key other", "DBSIZE", "CONFIG SET maxmemory 1", "FLUSHALL"):
        assert "NOPERM" in cache.ask(*other.split(), user="monitor", password=MONITOR), other


def test_other_users_have_no_permission(cache: Store) -> None:
    assert cache.ask("SET", "key", "value") == "OK"
    port = str(cache.pod.port(6379))
    assert "NOAUTH" in cache.pod.run(f"{cache.engine}-cli", "-p", port, "GET", "key").stdout
    for user in ("default", "app"):
        assert cache.ask("GET", "key", user=user, password="guess") != "value"


def test_the_probe_uses_the_password(cache: Store) -> None:
    assert cache.probe("readinessProbe") == 0
    users = cache.pod.paths[f"/etc/{cache.engine}"] / "users.acl"
    assert "user app on" in users.read_text()


def test_the_sidecar_reloads_users_without_a_restart(cache: Store) -> None:
    sidecar = cache.sidecar("reload")
    hurried = sidecar[2].replace("sleep 5", "sleep 0.2")
    users = f"/etc/{cache.engine}"
    assert cache.ask("SET", "key", "value") == "OK"
    with cache.subscribed() as listener, cache.pod.running(*sidecar[:2], hurried):
        time.sleep(0.5)
        text = cache.users.format(app=PASSWORD, app_alternate="renewed", monitor=MONITOR)
        cache.pod.write(users, {"users.acl": text})
        eventually(
            lambda: cache.ask("GET", "key", user="app_alternate", password="renewed") == "value",
            "the alternate user has its new password",
        )
        assert cache.ask("GET", "key", user="app_alternate", password=ALTERNATE) != "value"
        assert cache.ask("GET", "key") == "value"
        # Open connections continue, except in Redis before 7.4; Debian 12 has 7.0.
        if "v=7.0" not in cache.pod.run(f"{cache.engine}-server", "--version").stdout:
            assert cache.ask("PUBLISH", "news", "still here") == "1"
            assert listener.poll() is None


def test_data_uses_three_quarters_of_memory_without_persistence(cache: Store) -> None:
    assert f"maxmemory:{96 * 2**20}" in cache.ask("INFO", "memory")
    assert "aof_enabled:0" in cache.ask("INFO", "persistence")
    assert not list(cache.pod.paths["/tmp"].iterdir())


def test_a_full_cache_evicts_keys_and_accepts_writes(tmp_path: Path) -> None:
    # 32Mi keep the test short: 24Mi of data, a third of what is written.
    cache = Store(tmp_path, "redis", "Redis", redis={"memory": "32Mi"})
    with cache.running():
        answers = cache.pipe([f"SET key:{i} {'x' * 8000}" for i in range(9000)])
        assert set(answers.split()) == {"OK"}
        stats = cache.ask("INFO", "stats")
        assert "evicted_keys:0\r" not in f"{stats}\r"
        assert int(cache.ask("DBSIZE")) < 4000


@pytest.mark.parametrize("engine", ENGINES)
def test_a_persistent_cache_is_warm_after_a_restart(tmp_path: Path, engine: str) -> None:
    redis = {"memory": "64Mi", "persistence": {}, "engine": engine}
    cache = Store(tmp_path, "redis", engine, redis=redis)
    with cache.running():
        assert cache.ask("SET", "key", "value") == "OK"
    assert (cache.pod.paths[f"/var/lib/{cache.engine}"] / f"{cache.engine}.rdb").exists()
    with cache.running():
        assert cache.ask("GET", "key") == "value"
