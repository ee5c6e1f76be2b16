"""redis.conf and the users of the cache, run by a real Redis."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.resources.operands import Pod, eventually, files, listens, program, wanted

PASSWORD = "not-a-real-one"


@pytest.fixture
def pod(tmp_path: Path) -> Iterator[Pod]:
    program("redis-server")
    program("redis-cli")
    pod = Pod(tmp_path)
    for path in ("/etc/redis", "/tmp"):
        pod.directory(path)
    pod.port(6379)
    objects = wanted(redis={"memory": "128Mi"})
    generate = objects["Secret/shop-redis"].generate
    assert generate is not None
    users = generate.templates["users.acl"].format(password=PASSWORD)
    pod.write("/etc/redis", {**files(objects, "shop-redis"), "users.acl": users})
    with pod.running("redis-server", "/etc/redis/redis.conf"):
        eventually(lambda: listens(pod.port(6379)), "Redis listens")
        yield pod


def ask(pod: Pod, *command: str, user: str = "app", password: str = PASSWORD) -> str:
    url = f"redis://{user}:{password}@127.0.0.1:{pod.port(6379)}/0"
    return pod.run("redis-cli", "--no-auth-warning", "-u", url, *command).stdout.strip()


def test_app_may_cache_publish_and_look(pod: Pod) -> None:
    assert ask(pod, "PING") == "PONG"
    assert ask(pod, "SET", "key", "value", "EX", "60") == "OK"
    assert ask(pod, "GET", "key") == "value"
    assert ask(pod, "PUBLISH", "channel", "text") == "0"
    assert ask(pod, "EVAL", "return redis.call('GET', KEYS[1])", "1", "key") == "value"
    assert "maxmemory_policy:allkeys-lru" in ask(pod, "INFO", "memory")
    assert ask(pod, "FLUSHDB") == "OK"


@pytest.mark.parametrize("command", ["CONFIG GET *", "KEYS *", "SHUTDOWN", "ACL LIST"])
def test_app_may_not_administer(pod: Pod, command: str) -> None:
    assert "NOPERM" in ask(pod, *command.split())


def test_nobody_else_may_do_anything(pod: Pod) -> None:
    assert ask(pod, "SET", "key", "value") == "OK"
    anonymous = pod.run("redis-cli", "-p", str(pod.port(6379)), "GET", "key").stdout
    assert "NOAUTH" in anonymous
    for user in ("default", "app"):
        assert ask(pod, "GET", "key", user=user, password="guess") != "value"


def test_memory_is_bounded_at_three_quarters_and_nothing_is_kept(pod: Pod) -> None:
    memory = ask(pod, "INFO", "memory")
    assert f"maxmemory:{96 * 2**20}" in memory
    persistence = ask(pod, "INFO", "persistence")
    assert "aof_enabled:0" in persistence
    assert not list(pod.paths["/tmp"].iterdir())
