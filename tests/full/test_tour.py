"""The tour is typed on a node; with RECORD=1, its beginning is recorded for the picture."""

import contextlib
import fcntl
import json
import os
import pty
import struct
import subprocess
import termios
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pytest

from manifests.generate import cast
from tests.docs import blocks
from tests.full import docker
from tests.full.conftest import NODE, Platform
from tests.full.test_pages import chosen, environment, words

pytestmark = [pytest.mark.node, pytest.mark.timeout(1200, func_only=True)]

PAGE = "docs/tour.md"
RECORDING = blocks.ROOT / cast.FOLDER / "deploy.cast"
TITLE = (
    "A terminal: fastapi-operator deploy builds a project and shows each part until it has a URL; "
    "status shows the parts, and explain the numbers with their reasons."
)
SCENES = (
    "ls notes",
    "fastapi-operator deploy notes --registry registry.example.com --yes",
    "fastapi-operator status notes",
    "fastapi-operator explain notes | head -12",
)


@pytest.fixture
def known(platform: Platform, tmp_path: Path) -> dict[str, str]:
    """Returns the environment of a reader, in a cluster with the operator."""
    platform.install()
    programs = tmp_path / "programs"
    programs.mkdir()
    docker.install(programs, NODE)
    found = environment(platform)
    return {**found, "PATH": f"{programs}{os.pathsep}{found['PATH']}"}


def test_the_tour_is_typed(platform: Platform, known: dict[str, str], tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    steps = chosen(PAGE)

    blocks.run(steps, work, environment=known, words=words(), seconds=480)

    printed = {step.heading: "" for step in steps}
    for step in steps:
        printed[step.heading] += (work / f"{step.line}.log").read_text()
    assert "Buy milk" in printed["4. Bring it to a URL"]
    assert "Buy milk" in printed["6. Break it"]
    assert "missing_library" in printed["8. Release a broken version, and go back"]
    assert "not released" in printed["8. Release a broken version, and go back"]
    assert not platform.kubectl.exists("fastapiservice", "notes")


@pytest.mark.skipif("RECORD" not in os.environ, reason="only to renew the picture")
@pytest.mark.usefixtures("platform")
def test_the_picture_is_of_a_real_run(known: dict[str, str], tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    described = [step for step in chosen(PAGE) if step.heading == "2. Describe it"]
    blocks.run(described, work, environment=known, words={})

    events = list(_typed(SCENES, work, known))

    assert any("http://notes" in text for _, _, text in events)
    header = {"version": 2, "width": cast.COLUMNS, "height": cast.ROWS, "title": TITLE}
    lines = [json.dumps(line).replace(str(work), "~") for line in (header, *events)]
    RECORDING.write_text("\n".join(lines) + "\n")


def _typed(
    commands: Iterable[str], folder: Path, known: Mapping[str, str]
) -> Iterator[tuple[float, str, str]]:
    """Runs commands in a terminal of the picture's size; yields time, kind and text of output."""
    began = time.monotonic()
    for command in commands:
        yield _event(began, f"$ {command}\r\n")
        terminal, inner = pty.openpty()
        fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", cast.ROWS, cast.COLUMNS, 0, 0))
        process = subprocess.Popen(
            ["bash", "-c", command],
            cwd=folder,
            env={**os.environ, **known, "TERM": "xterm-256color"},
            stdin=inner,
            stdout=inner,
            stderr=inner,
        )
        os.close(inner)
        # At the end of the command, Linux reports an error instead of an end of file.
        with contextlib.suppress(OSError):
            while text := os.read(terminal, 65536):
                yield _event(began, text.decode(errors="replace"))
        os.close(terminal)
        assert process.wait() == 0, command


def _event(began: float, text: str) -> tuple[float, str, str]:
    return round(time.monotonic() - began, 3), "o", text
