"""Copies the files that the app needs into a new root file system, for an image without the rest.

    python3 smallest_root.py ROOT VENV PROGRAM...

These are the interpreter with its standard library, the named programs, certificates, time zones,
and the libraries that all of them and VENV are linked to. VENV itself is not copied. The list of
Debian packages keeps those of the copied files, so that a scanner of vulnerabilities finds them.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

UNUSED = {"test", "idlelib", "turtledemo", "tkinter", "ensurepip", "lib2to3", "pydoc_data"}
UNUSED |= {"site-packages", "dist-packages"}
DATA = (
    "/etc/ssl",
    "/usr/lib/ssl",
    "/usr/share/zoneinfo",
    "/etc/passwd",
    "/etc/group",
    "/etc/nsswitch.conf",
)
DATA += ("/etc/os-release", "/etc/debian_version", "/etc/ld.so.cache")
# The C library opens it by name when a thread ends.
OPENED = ("libgcc_s.so.1",)
PACKAGES = Path("/var/lib/dpkg")


class Root:
    """The new root file system; `copied` has the real path of each file."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.copied: set[Path] = set()

    def add(self, path: Path) -> None:
        """Copies a file or a directory, with each symbolic link that leads to it."""
        for part in (*reversed(path.parents[:-1]), path):
            if part.is_symlink():
                self._write(part)
                target = part.parent / os.readlink(part)
                self.add(Path(os.path.normpath(target)) / path.relative_to(part))
                return
        if path.is_dir():
            for entry in path.iterdir():
                if entry.name not in UNUSED and not entry.name.startswith("config-"):
                    self.add(entry)
        elif path.exists():
            self._write(path)

    def _write(self, path: Path) -> None:
        target = self._directory / path.relative_to("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        if not os.path.lexists(target):
            shutil.copy2(path, target, follow_symlinks=False)
        self.copied.add(path)


def linked(paths: Iterator[Path]) -> set[Path]:
    """Returns the libraries that programs and libraries are linked to."""
    binaries = [str(path) for path in paths if path.is_file() and _is_binary(path)]
    output = subprocess.run(["ldd", *binaries], capture_output=True, text=True, check=False).stdout
    return {Path(found) for found in re.findall(r"^\s(?:\S+ => )?(/\S+) \(0x", output, re.M)}


def packages_of(files: set[Path]) -> Iterator[str]:
    """Yields the entries of the package list whose files were copied."""
    names = {str(file) for file in files}
    for entry in (PACKAGES / "status").read_text().split("\n\n"):
        name, architecture = (
            re.search(rf"^{field}: (\S+)", entry, re.M) for field in ("Package", "Architecture")
        )
        if name is None or architecture is None:
            continue
        for listed in (name[1], f"{name[1]}:{architecture[1]}"):
            found = PACKAGES / "info" / f"{listed}.list"
            if found.exists() and not names.isdisjoint(found.read_text().splitlines()):
                yield entry


def _is_binary(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"\x7fELF"


def main() -> None:
    """Copies, and writes the list of packages."""
    directory, environment, *programs = map(Path, sys.argv[1:])
    root = Root(directory)
    standard_library = Path(sysconfig.get_path("stdlib"))
    interpreter = environment / "bin/python3"
    for path in (interpreter.resolve(), standard_library, *programs, *map(Path, DATA)):
        root.add(path)
    # The links of the virtual environment name the interpreter by another name.
    root.add(interpreter.parent / os.readlink(interpreter))
    libraries = linked(iter([*root.copied, *environment.rglob("*.so*")]))
    folders = {library.parent for library in libraries}
    for path in (*libraries, *(folder / name for folder in folders for name in OPENED)):
        root.add(path)
    root.add(Path("/lib64"))
    (directory / "tmp").mkdir(mode=0o1777)
    (directory / "tmp").chmod(0o1777)
    if PACKAGES.exists():
        entries = list(packages_of(root.copied))
        status = directory / (PACKAGES / "status").relative_to("/")
        status.parent.mkdir(parents=True)
        status.write_text("\n\n".join(entries) + "\n")


if __name__ == "__main__":
    main()
