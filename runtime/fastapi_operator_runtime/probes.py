"""The probe port: `/livez`, `/readyz` and `/startupz` of a pod, apart from its event loops.

A busy process stays live and ready, because no probe waits in the queue of its event loop. If the
loop of a worker is stuck, liveness is false after a while: uvicorn's supervisor does not notice it,
because a thread of the worker responds to its pings. A pod is ready if at least one worker serves.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping

from fastapi_operator_runtime import health, heartbeat, listener


class ProbePages:
    """The pages of the probe port.

    Args:
        reports: The states of the pod's workers.
        stuck_seconds: Time without a heartbeat after which a started worker counts as stuck, and
            the age above which a result of the checks is not used.
    """

    def __init__(self, reports: heartbeat.Reports, *, stuck_seconds: float) -> None:
        self._reports = reports
        self._stuck_seconds = stuck_seconds

    def pages(self) -> dict[str, listener.Page]:
        """Returns the paths and their functions."""
        return {
            health.LIVE_PATH: self.live,
            health.READY_PATH: self.ready,
            health.STARTED_PATH: self.started,
        }

    def live(self, _query: listener.Query, _accept: str) -> listener.Response:
        """Returns 503 if the event loop of a worker is stuck."""
        now = time.monotonic()
        stuck = {
            f"worker {report.pid}": f"event loop blocked for {now - report.at:.1f} s"
            for report in self._reports.read()
            if report.started and not report.draining and self._is_stuck(report, now)
        }
        if stuck:
            return _json(503, {"status": "stuck", "failed": stuck})
        return _json(200, {"status": "live"})

    def started(self, _query: listener.Query, _accept: str) -> listener.Response:
        """Returns 200 if a worker has started."""
        if any(report.started for report in self._reports.read()):
            return _json(200, {"status": "started"})
        return _json(503, {"status": "starting"})

    def ready(self, _query: listener.Query, _accept: str) -> listener.Response:
        """Returns 200 if at least one worker serves."""
        now = time.monotonic()
        reasons = [self._why_not_ready(report, now) for report in self._reports.read()]
        if None in reasons:
            return _json(200, {"status": "ready"})
        # All workers are unready: the first that has started shows why.
        found = next((why for why in reasons if why and why["status"] != "starting"), None)
        return _json(503, found or {"status": "starting"})

    def _why_not_ready(self, report: heartbeat.Report, now: float) -> dict[str, object] | None:
        if not report.started:
            return {"status": "starting"}
        if report.draining:
            return {"status": "draining"}
        if self._is_stuck(report, now):
            return {"status": "stuck"}
        if report.failed:
            return {"status": "unready", "failed": report.failed}
        if report.checked_at is not None and now - report.checked_at > self._stuck_seconds:
            return {"status": "unready", "failed": {"checks": "no recent result"}}
        return None

    def _is_stuck(self, report: heartbeat.Report, now: float) -> bool:
        return now - report.at > self._stuck_seconds


def _json(status: int, body: Mapping[str, object]) -> listener.Response:
    return listener.Response("application/json", json.dumps(body).encode(), status)
