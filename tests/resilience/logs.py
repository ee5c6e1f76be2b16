"""The lines of pods' logs that name a request, although the pods may have ended since."""

import contextlib
import glob
import os
import threading
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

_PAUSE_SECONDS = 1
_COMPRESSED = ".gz"


class Logs:
    """The logs of all containers of a namespace, kept while they are watched.

    Attributes:
        folder: A hard link to each log file, so that the file survives its pod.
    """

    def __init__(self, written: Path, namespace: str, folder: Path) -> None:
        self.folder = folder
        self._written = written
        self._namespace = namespace

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Keeps the files that exist or appear, and removes them afterwards."""
        over = threading.Event()

        def watch() -> None:
            while not over.wait(_PAUSE_SECONDS):
                self.keep()

        self.keep()
        watching = threading.Thread(target=watch)
        watching.start()
        try:
            yield
        finally:
            over.set()
            watching.join()
            for file in self.folder.iterdir():
                file.unlink()

    def keep(self) -> None:
        """Links each new file. A rotated file has another name, but it is the same file."""
        self.folder.mkdir(parents=True, exist_ok=True)
        pattern = f"{self._written}/{self._namespace}_*/*/*.log*"
        # Unlike Path.glob, it ignores a folder that has just been removed.
        for file in map(Path, glob.glob(pattern)):  # noqa: PTH207
            if file.suffix == _COMPRESSED:
                continue
            pod, container = file.parts[-3:-1]
            with contextlib.suppress(OSError):  # it has been kept already, or was just removed
                number = file.stat().st_ino
                os.link(file, self.folder / f"{pod.split('_')[1]}.{container}.{number}")

    def errors(self, seconds: Collection[str]) -> Mapping[str, list[str]]:
        """Returns what programs wrote to standard error within seconds, such as nginx's errors.

        Args:
            seconds: The beginnings of ISO times, ``2026-11-30T10:31:13``.
        """
        found: dict[str, list[str]] = {second: [] for second in seconds}
        for name, line in self._lines() if seconds else ():
            if line[:19] in found and " stderr " in line:
                found[line[:19]].append(f"{name}: {line}")
        return found

    def about(self, references: Collection[str]) -> Mapping[str, list[str]]:
        """Returns the lines that contain a reference, by reference."""
        found: dict[str, list[str]] = {reference: [] for reference in references}
        for name, line in self._lines() if references else ():
            for reference in references:
                if reference in line:
                    found[reference].append(f"{name}: {line}")
        return found

    def _lines(self) -> Iterator[tuple[str, str]]:
        """Yields each line with the names of its pod and container."""
        for file in sorted(self.folder.iterdir()):
            with file.open(errors="replace") as lines:
                for line in lines:
                    yield file.name.rpartition(".")[0], line.rstrip()
