"""The stage of a canary: which version gets which share of the requests."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Stage:
    """One step of a new version that runs beside the released one.

    Attributes:
        canary: The identity of the new version: eight hexadecimal digits.
        step: The number of the step, from 1; 0 before the first.
        percent: The share of the requests that it gets, from 0 to 100.
        replicas: The number of its pods.
        open: Whether the proxy finds its pods. If not, all requests go to the released version,
            also before the proxy has reloaded.
    """

    canary: str
    step: int
    percent: int
    replicas: int
    open: bool = True
