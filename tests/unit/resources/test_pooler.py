"""pgbouncer.ini, PgBouncer's start script and its reload sidecar, run by a real PgBouncer."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.unit.resources.operands import Pod, container, eventually, files, program, wanted

CONSOLE = ("psql", "-X", "-A", "-t", "-h", "/run/pgbouncer", "-p", "5432", "-U", "pgbouncer")


@pytest.fixture
def pod(tmp_path: Path) -> Pod:
    program("pgbouncer")
    program("psql")
    pod = Pod(tmp_path)
    for path in ("/etc/pgbouncer", "/run/pgbouncer"):
        pod.directory(path)
    pod.port(5432)
    pod.hosts["shop-postgres"] = "127.0.0.1"
    configure(pod, files(wanted(), "shop-pooler")["pgbouncer.ini"])
    return pod


def configure(pod: Pod, ini: str) -> None:
    # Debian 12 has 1.18, which knows no tracking of prepared statements; the node's tests have it.
    if "1.18" in pod.run("pgbouncer", "--version").stdout:
        ini = ini.replace("max_prepared_statements", ";max_prepared_statements")
    generate = wanted()["Secret/shop-postgres"].generate
    assert generate is not None
    users = generate.templates["userlist.txt"].format(
        app="first", app_alternate="idle", monitor="look"
    )
    pod.write("/etc/pgbouncer", {"pgbouncer.ini": ini, "userlist.txt": users})


def ask(pod: Pod, command: str) -> str:
    result = pod.run(*CONSOLE, "-d", "pgbouncer", "-c", command)
    return result.stdout + result.stderr


@contextmanager
def serving(pod: Pod) -> Iterator[int]:
    script = container(wanted(), "Deployment/shop-pooler", "pgbouncer")["command"]
    with pod.running(*script) as server:
        eventually(lambda: "|" in ask(pod, "SHOW POOLS"), "PgBouncer answers")
        yield server.pid
        server.send_signal(signal.SIGTERM)
        assert server.wait(20) == 0, pod.output()


def test_console_opens_without_password_for_the_pods_own_user(pod: Pod) -> None:
    with serving(pod):
        config = dict(line.split("|")[:2] for line in ask(pod, "SHOW CONFIG").splitlines())
        assert config["pool_mode"] == "transaction"
        assert config["max_client_conn"] == "1000"
        assert config["max_db_connections"] == "5"
        databases = [line.split("|") for line in ask(pod, "SHOW DATABASES").splitlines()]
        assert ["app", "127.0.0.1"] in [row[:2] for row in databases]


def test_configuration_and_log_have_no_errors(pod: Pod) -> None:
    with serving(pod):
        pass
    assert "ERROR" not in pod.output()
    assert "WARNING" not in pod.output()


def test_monitor_reads_statistics_and_changes_nothing(pod: Pod) -> None:
    url = f"postgresql://monitor:look@127.0.0.1:{pod.port(5432)}/pgbouncer"
    with serving(pod):
        for read in ("POOLS", "STATS", "LISTS", "CONFIG", "DATABASES"):
            shown = pod.run("psql", "-X", "-d", url, "-c", f"SHOW {read}")
            assert shown.returncode == 0, shown.stderr
        for change in ("PAUSE", "RELOAD", "SHUTDOWN", "SET max_client_conn = 1"):
            refused = pod.run("psql", "-X", "-d", url, "-c", change)
            assert "admin access needed" in refused.stderr, change


def test_unknown_users_are_rejected(pod: Pod) -> None:
    with serving(pod):
        url = f"postgresql://pgbouncer:guess@127.0.0.1:{pod.port(5432)}/pgbouncer"
        refused = pod.run("psql", "-X", "-d", url, "-c", "SHOW POOLS")
        assert refused.returncode != 0


def test_the_sidecar_reloads_a_changed_configuration(pod: Pod) -> None:
    sidecar = container(wanted(), "Deployment/shop-pooler", "reload")["command"]
    script = sidecar[2].replace("sleep 5", "sleep 0.2")
    with pod.running(*sidecar[:2], script), serving(pod):
        before = files(wanted(), "shop-pooler")["pgbouncer.ini"]
        later = wanted(image="registry.example.com/shop:2", postgres={"migrations": {"retry": "1"}})
        after = files(later, "shop-pooler")["pgbouncer.ini"]
        assert before != after, "a new migration changes connect_query"
        configure(pod, after.replace("query_wait_timeout = 10", "query_wait_timeout = 11"))
        eventually(lambda: "query_wait_timeout|11" in ask(pod, "SHOW CONFIG"), "it reloads")
