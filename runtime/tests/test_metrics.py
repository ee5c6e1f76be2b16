from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from fastapi_operator_runtime import metrics


def test_gauges_of_a_process_that_nobody_has_waited_for_are_removed(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    time.sleep(0.5)  # it has ended, and is a zombie until we wait for it
    gauge = tmp_path / f"gauge_livesum_{child.pid}.db"
    counter = tmp_path / f"counter_{child.pid}.db"
    gauge.touch()
    counter.touch()
    metrics.remove_gauges_of_dead_workers(str(tmp_path))
    child.wait()
    assert not gauge.exists()
    assert counter.exists(), "counters must not fall when a worker dies"


def test_gauges_of_a_running_process_stay(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        time.sleep(0.1)
        gauge = tmp_path / f"gauge_livemax_{child.pid}.db"
        gauge.touch()
        metrics.remove_gauges_of_dead_workers(str(tmp_path))
        assert gauge.exists()
        child.communicate(b"\n")
