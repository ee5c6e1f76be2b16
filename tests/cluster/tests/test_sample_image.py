"""What is in the image of the sample app, and what is not, read from its archive."""

import json
import tarfile
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import pytest

from tests.cluster import images

MOST_BYTES = 200_000_000
PROGRAMS = {"python3", "python3.14", "sh", "dash", "cat", "cp", "ls"}
# Package managers, their libraries and data, and compilers.
FORBIDDEN = {"apt", "apt-get", "dpkg", "perl", "pip", "ensurepip", "gcc", "cc", "ld", "as", "make"}
FORBIDDEN |= {"uv", "busybox", "bash", "tar", "su", "mount", "curl", "wget", "openssl"}


@dataclass(frozen=True)
class Contents:
    """An image as its containers get it: configuration, bytes of all layers, files and folders."""

    config: dict[str, Any]
    size: int
    entries: dict[PurePosixPath, tarfile.TarInfo]


@pytest.fixture(scope="module")
def image() -> Contents:
    (built,) = images.build(["sample-app"])
    with tarfile.open(built.archive) as archive:

        def read(name: str) -> Any:
            file = archive.extractfile(name)
            assert file is not None
            return file

        (manifest,) = json.load(read("manifest.json"))
        entries: dict[PurePosixPath, tarfile.TarInfo] = {}
        for layer in manifest["Layers"]:
            with tarfile.open(fileobj=read(layer)) as files:
                entries |= {PurePosixPath("/", entry.name): entry for entry in files}
        size = sum(archive.getmember(layer).size for layer in manifest["Layers"])
        return Contents(json.load(read(manifest["Config"]))["config"], size, entries)


def test_it_is_small(image: Contents) -> None:
    assert image.size <= MOST_BYTES


def test_its_programs_are_the_interpreter_and_what_the_operator_needs(image: Contents) -> None:
    found = {
        path.name
        for path, entry in image.entries.items()
        if path.parent.name in {"bin", "sbin"} and "venv" not in path.parts and not entry.isdir()
    }
    assert found == PROGRAMS


def test_it_has_no_compiler_and_no_package_manager(image: Contents) -> None:
    # /var/lib/dpkg/status lists the packages for scanners of vulnerabilities.
    files = {path for path, entry in image.entries.items() if not entry.isdir()}
    assert PurePosixPath("/var/lib/dpkg/status") in files
    assert not [path for path in files if path.name in FORBIDDEN]
    assert not [path for path in image.entries if path.match("site-packages/pip")]


def test_it_runs_as_a_user_without_rights(image: Contents) -> None:
    user, _, group = image.config["User"].partition(":")
    assert int(user) > 0
    assert int(group) > 0
    privileged = [path for path, entry in image.entries.items() if entry.mode & 0o6000]
    assert privileged == []
    writable = [
        str(path)
        for path, entry in image.entries.items()
        if not entry.issym() and (entry.mode & 0o002 or (entry.uid, entry.gid) != (0, 0))
    ]
    assert writable == ["/tmp"]
