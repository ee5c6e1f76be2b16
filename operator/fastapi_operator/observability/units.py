"""Values with their units, as diagnoses and the documentation show them."""


def milliseconds(seconds: float) -> str:
    """A duration."""
    return f"{1000 * seconds:.0f} ms"


def percent(share: float) -> str:
    """A share, without decimals."""
    return f"{100 * share:.0f} %"


def cores(number: float) -> str:
    """An amount of CPU."""
    return f"{number:.2f} cores"


def interval(duration: str) -> str:
    """A duration in Prometheus' notation, as text: ``10m`` is ``10 minutes``."""
    number, unit = int(duration[:-1]), {"m": "minute", "h": "hour", "d": "day"}[duration[-1]]
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"
