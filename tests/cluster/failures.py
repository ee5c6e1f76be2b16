"""The errors that the command line prints as one message, without a traceback."""

from pathlib import Path


class ClusterError(Exception):
    """The local node cannot do the requested action; the message has the reason and the remedy."""


class NotReadyError(ClusterError):
    """A process did not become ready; the message carries the end of its log."""

    def __init__(self, what: str, reason: str, log: Path) -> None:
        super().__init__(f"{what} {reason}\nlast lines of {log}:\n{_last_lines(log)}")


def _last_lines(log: Path, count: int = 15) -> str:
    try:
        lines = log.read_text(errors="replace").splitlines()
    except OSError as error:
        return f"  (no log: {error})"
    return "\n".join(f"  {line[:300]}" for line in lines[-count:]) or "  (empty)"
