"""The state of one worker process: started, draining, requests in flight."""

from __future__ import annotations

import math
from dataclasses import dataclass

from fastapi_operator_runtime import settings


@dataclass
class Worker:
    """The mutable state of one worker process, shared by the parts of the runtime."""

    settings: settings.RuntimeSettings
    started: bool = False
    draining: bool = False
    in_flight: int = 0
    requested_at: float = -math.inf
    """The start of the last request, on the clock of `time.perf_counter`."""
