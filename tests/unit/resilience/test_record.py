"""Runs are kept as they end, and no lost request stays a riddle."""

import json
from pathlib import Path

from tests.resilience.client import BROKEN, Ending, Request
from tests.resilience.load import Answer
from tests.resilience.logs import Logs
from tests.resilience.outcome import Outcome
from tests.resilience.record import Record
from tests.resilience.traffic import WRITE

_POD = "resilience_shop-proxy-abc_1234"


def _outcome(*endings: str) -> Outcome:
    answers = [
        Answer(
            Request(WRITE, "POST", "/items"), 1, 0.2, False, Ending(ending), f"id-{n}", "kept; …"
        )
        for n, ending in enumerate(endings)
    ]
    counts = {"database_gone": False, "twice": 0, "unaccounted": 0, "backends": 4}
    return Outcome(name="a change", answers=answers, began=0.5, ended=9, **counts)  # type: ignore[arg-type]


def _logs(folder: Path) -> Logs:
    written = folder / "pods"
    (written / _POD / "nginx").mkdir(parents=True)
    (written / _POD / "nginx" / "0.log").write_text("the answer to id-0\nthe answer to id-1\n")
    return Logs(written, "resilience", folder / "kept")


def test_runs_are_kept_until_they_are_forgotten(tmp_path: Path) -> None:
    for _ in range(2):
        Record(tmp_path).add_run("a change", _outcome("200", "200").figures())
    record = Record(tmp_path)
    record.set_crowd("a crowd", ["a crowd", "2000"])
    assert [run.requests for run in record.runs("a change")] == [2, 2]
    record.forget("a change")
    assert record.runs("a change") == []
    assert (record.crowd("a crowd") or [])[:2] == ["a crowd", "2000"]


def test_the_record_is_as_old_as_its_oldest_run(tmp_path: Path) -> None:
    record = Record(tmp_path)
    record.add_run("a change", _outcome("200").figures())
    record.add_run("another", _outcome("200").figures())
    path = tmp_path / "resilience.json"
    content = json.loads(path.read_text())
    content["changes"]["a change"][0]["ended"] = "2026-11-23 18:00"
    path.write_text(json.dumps(content))
    assert str(record.began()) == "2026-11-23"


def test_a_lost_request_is_described_with_its_lines_in_the_logs(tmp_path: Path) -> None:
    logs, record = _logs(tmp_path), Record(tmp_path)
    with logs.watched():
        assert record.add_losses(_outcome("200"), logs) is None
        described = record.add_losses(_outcome("200", BROKEN), logs)
    assert described
    (loss,) = map(json.loads, described.read_text().splitlines())
    assert (loss["reference"], loss["outcome"], loss["connection"]) == ("id-1", BROKEN, "kept; …")
    assert loss["seconds after the change began"] == 0.5
    assert loss["logs"] == ["shop-proxy-abc.nginx: the answer to id-1"]


def test_errors_of_the_same_second_are_found(tmp_path: Path) -> None:
    logs = _logs(tmp_path)
    (log,) = (tmp_path / "pods").glob("*/*/*.log")
    log.write_text(
        "2026-11-30T10:31:13.39Z stderr F connection refused\n"
        "2026-11-30T10:31:13.40Z stdout F a response\n"
        "2026-11-30T10:31:14.40Z stderr F later\n"
    )
    second = "2026-11-30T10:31:13"
    with logs.watched():
        (error,) = logs.errors({second})[second]
    assert error == f"shop-proxy-abc.nginx: {second}.39Z stderr F connection refused"


def test_the_log_of_a_pod_outlives_it_and_is_read_once_although_it_is_rotated(
    tmp_path: Path,
) -> None:
    logs = _logs(tmp_path)
    (log,) = (tmp_path / "pods").glob("*/*/*.log")
    with logs.watched():
        log = log.rename(log.with_name("0.log.20261130-095419"))
        logs.keep()
        log.unlink()
        assert logs.about({"id-0"}) == {"id-0": ["shop-proxy-abc.nginx: the answer to id-0"]}
    assert not list(logs.folder.iterdir())
