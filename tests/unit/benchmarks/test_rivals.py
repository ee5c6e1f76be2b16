"""The comparison with servers of others: their objects, the rows, the verdicts."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.benchmarks import bars
from tests.benchmarks.overload import rivals, tables
from tests.benchmarks.overload.cells import (
    LARGEST,
    RIVAL_MULTIPLES,
    RIVAL_WORKS,
    Around,
    Run,
    Series,
)
from tests.benchmarks.overload.load import Answer, Seen
from tests.benchmarks.serving import variants

SERVERS = {server.name: server for server in rivals.servers(2)}
WORK = RIVAL_WORKS[0]
GRANIAN, ARTICLE = "Granian", "nginx and gunicorn"
APP: dict[str, Any] = {
    "containers": [
        {
            "name": "app",
            "image": "registry.example.com/bench:1",
            "imagePullPolicy": "IfNotPresent",
            "command": ["uvicorn", "main:app"],
            "env": [
                {"name": "WEB_CONCURRENCY", "value": "1"},
                {"name": "DATABASE_URL", "value": "postgresql://bench-pooler/app"},
            ],
            "resources": {
                "requests": {"cpu": "50m", "memory": "256Mi"},
                "limits": {"cpu": "200m", "memory": "256Mi"},
            },
            "securityContext": {"readOnlyRootFilesystem": True},
            **{
                probe: {"tcpSocket": {"port": "http"}}
                for probe in ("startupProbe", "readinessProbe", "livenessProbe")
            },
        }
    ],
    "securityContext": {"runAsNonRoot": True},
}
PROXY: dict[str, Any] = {
    "containers": [
        {
            "name": "nginx",
            "image": "registry.example.com/nginx:1",
            "imagePullPolicy": "IfNotPresent",
            "resources": {"requests": {"cpu": "100m"}, "limits": {"memory": "64Mi"}},
            "securityContext": {"readOnlyRootFilesystem": True},
        }
    ],
    "securityContext": {"runAsNonRoot": True},
}


def objects(name: str) -> dict[tuple[str, str], dict[str, Any]]:
    """The objects of a rival by kind and name."""
    rival = SERVERS[name].rival
    assert rival is not None
    made = rivals.objects(rival, APP, PROXY, replicas=2)
    return {(body["kind"], body["metadata"]["name"]): body for body in made}


def container(deployment: dict[str, Any]) -> dict[str, Any]:
    (found,) = deployment["spec"]["template"]["spec"]["containers"]
    return dict(found)


def seen(*, served: int, rejected: int = 0, failed: int = 0, seconds: float = 0.01) -> Seen:
    statuses = [200] * served + [503] * rejected + [502] * failed
    answers = [Answer(at / 100, 0.0, status, seconds) for at, status in enumerate(statuses)]
    return Seen.of(100, 10, answers)


def series(at_one: Seen, at_ten: Seen, capacity: float = 0, **around: Any) -> Series:
    loads = zip(RIVAL_MULTIPLES, (at_one, at_ten), strict=True)
    runs = {multiple: [Run(found, Around(**around), 0)] for multiple, found in loads}
    return Series(WORK, capacity, runs)


def rows(found: Mapping[str, Series]) -> dict[tuple[str, str], bars.Row]:
    """The judged rows of the first work, by server and load."""
    names = {(name, WORK.name): item for name, item in found.items()}
    text = bars.with_verdicts("rivals", tables.rivals_text([*SERVERS.values()], names))
    (table,) = bars.tables("rivals", text)
    return {(row["server"], row["load"]): row for _, row in table.rows if row["work"] == WORK.name}


@pytest.mark.parametrize("name", ["bare uvicorn", GRANIAN])
def test_a_server_alone_is_reached_by_its_service_with_the_limits_of_our_pod(name: str) -> None:
    made = objects(name)
    key = SERVERS[name].rival.key  # type: ignore[union-attr]
    assert set(made) == {("Service", key), ("Deployment", key)}
    app = container(made["Deployment", key])
    ours = APP["containers"][0]["resources"]
    assert app["resources"]["limits"] == ours["limits"]
    # All servers fit on one node.
    assert app["resources"]["requests"] == {"cpu": "10m", "memory": "256Mi"}
    assert app["env"] == [APP["containers"][0]["env"][1], {"name": "RUNTIME", "value": "off"}]
    assert app["livenessProbe"] == {"tcpSocket": {"port": "http"}}
    assert made["Deployment", key]["spec"]["replicas"] == 2
    labels = made["Deployment", key]["spec"]["template"]["metadata"]["labels"]
    assert made["Service", key]["spec"]["selector"] == labels
    assert labels == {"benchmark/rival": key, "benchmark/part": "app"}
    assert rivals.selector(key, "app") == f"benchmark/rival={key},benchmark/part in (app)"


def test_the_line_of_the_article_has_workers_of_all_cores_and_is_behind_a_plain_nginx() -> None:
    made = objects(ARTICLE)
    app = container(made["Deployment", "article-app"])
    assert tuple(app["command"]) == variants.article(2).command
    assert app["command"][app["command"].index("--workers") + 1] == "5"
    # The CPU of a pod is the same; its memory is that of each of its workers.
    assert app["resources"]["limits"] == {"cpu": "200m", "memory": "1280Mi"}
    nginx = made["ConfigMap", "article"]["data"]["nginx.conf"]
    assert "proxy_pass http://article-app;" in nginx
    assert "limit_" not in nginx and "max_conns" not in nginx
    first = made["Service", "article"]["spec"]["selector"]
    assert first == made["Deployment", "article"]["spec"]["template"]["metadata"]["labels"]
    proxy = container(made["Deployment", "article"])
    assert proxy["resources"] == {"requests": {"cpu": "20m"}}


def test_each_server_has_a_row_for_each_work_and_load_also_before_it_is_measured() -> None:
    text = bars.with_verdicts("rivals", tables.rivals_text([*SERVERS.values()], {}))
    (table,) = bars.tables("rivals", text)
    assert len(table.rows) == len(SERVERS) * len(RIVAL_WORKS) * len(RIVAL_MULTIPLES)
    for _, row in table.rows:
        judged = row["server"].startswith("this operator") and row["load"] == f"{LARGEST:g}"
        assert row[bars.VERDICT] == ("inconclusive: not measured" if judged else "")
    assert "No server" not in text


def test_only_this_operator_is_judged_by_the_share_of_its_own_best() -> None:
    ours = series(seen(served=1000), seen(served=950, rejected=9000))
    article = series(seen(served=1000), seen(served=10, failed=9000))
    good = rows({rivals.OURS: ours, ARTICLE: article})
    assert good[rivals.OURS, "10"][bars.VERDICT] == "met"
    assert good[rivals.OURS, "1"][bars.VERDICT] == ""
    theirs = good[ARTICLE, "10"]
    assert (theirs[bars.VERDICT], theirs["of its own best"]) == ("", "1 %")
    assert (theirs["rejected/s"], theirs["lost"]) == ("0", "9000")


def test_the_best_of_a_server_includes_its_closed_loop() -> None:
    ours = series(seen(served=1000), seen(served=1000, rejected=9000), capacity=125)
    row = rows({rivals.OURS: ours})[rivals.OURS, "10"]
    assert (row["of its own best"], row[bars.VERDICT]) == ("80 %", "not met")


@pytest.mark.parametrize(
    ("theirs", "is_listed"),
    [
        (seen(served=1100), True),
        (seen(served=1000, seconds=0.005), True),
        (seen(served=1000, seconds=0.02), False),
        (seen(served=900, seconds=0.005), False),
    ],
)
def test_a_server_that_is_better_is_listed(theirs: Seen, is_listed: bool) -> None:
    ours = series(seen(served=1000), seen(served=1000, rejected=9000))
    found = {
        (rivals.OURS_UNMODIFIED, WORK.name): ours,
        (GRANIAN, WORK.name): series(theirs, seen(served=1)),
    }
    text = tables.rivals_text([*SERVERS.values()], found)
    assert (f"- {WORK.name} at 1 times, {GRANIAN}: " in text) == is_listed
    assert ("No server of others" in text) != is_listed
