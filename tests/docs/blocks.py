"""The shell blocks of the documentation, and how each is run.

A comment directly above a block is for that block. If it is elsewhere, it is for all blocks that
follow on the page:

    <!-- shell: none -->               without a cluster
    <!-- shell: api -->                against an API server without nodes
    <!-- shell: node -->               on a node, after the blocks above that need less
    <!-- shell: node, until http://localhost:8080 answers -->     is stopped when the URL responds
    <!-- shell: not run, since … -->   with the reason why not

The blocks of a page run in order in one folder, which has the files of a checkout. If a comment
``<!-- file: service.yaml -->`` is above a block of another language, that file is written there.
tests/docs runs blocks that need no node. tests/full runs pages that need one: some in an empty
cluster, and those about parts and alerts with a shop that has every part.
"""

import contextlib
import os
import re
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parents[2]
NOT_RUN = "not run, since "
PLACES = ("none", "api", "node")
PAGES = (
    ROOT / "README.md",
    *sorted(ROOT.glob("docs/**/*.md")),
    *sorted(ROOT.glob("charts/*/README.md")),
    ROOT / "manifests/README.md",
    ROOT / "manifests/gitops/README.md",
    ROOT / "CONTRIBUTING.md",
)
# Folders of the repository that a block may read.
_CHECKOUT = ("charts", "manifests", "sample-app", "docs")
# If a page has no comment.
_BY_FOLDER = {
    "docs/parts": "node",
    "docs/runbooks": "node",
}
_SHELLS = ("sh", "console", "bash", "shell")
_FENCE = re.compile(
    r"(?:<!-- (?P<key>shell|file): (?P<value>(?:(?!-->).)*?) -->\s*\n)?"
    r"(?P<indent> *)```(?P<language>\w*)[^\n]*\n(?P<text>.*?)\n(?P=indent)```"
    r"|<!-- shell: (?P<default>.*?) -->"
    r"|^#+ (?P<heading>[^\n]+)",
    re.DOTALL | re.MULTILINE,
)
_UNTIL = re.compile(r"node, until (?P<url>\S+) answers")


@dataclass(frozen=True)
class Block:
    """One shell block.

    Attributes:
        page: Its page, below the repository.
        heading: The heading above it.
        line: The line of its fence.
        where: One of PLACES, a reason that begins with NOT_RUN, or empty.
        until: The URL whose response ends it; empty if it ends by itself.
        script: The script for bash.
        files: Files of the page up to here, by name.
    """

    page: str
    heading: str
    line: int
    where: str
    until: str
    script: str
    files: Mapping[str, str]


def blocks(page: Path) -> Iterator[Block]:
    """Yields the shell blocks of a page, in order."""
    name = page.relative_to(ROOT).as_posix()
    text, files = page.read_text(), dict[str, str]()
    default, heading = _BY_FOLDER.get(name.rpartition("/")[0], ""), ""
    for found in _FENCE.finditer(text):
        if found["default"] or found["heading"]:
            default, heading = found["default"] or default, found["heading"] or heading
            continue
        body = re.sub(f"^{found['indent']}", "", found["text"], flags=re.MULTILINE) + "\n"
        if found["key"] == "file":
            files[found["value"]] = body
        if found["language"] in _SHELLS:
            where = found["value"] if found["key"] == "shell" else default
            until = _UNTIL.fullmatch(where)
            yield Block(
                page=name,
                heading=heading,
                line=text.count("\n", 0, found.start("indent")) + 1,
                where="node" if until else where,
                until=until["url"] if until else "",
                script=_commands(body),
                files=dict(files),
            )


def pages(where: str) -> list[Path]:
    """Returns the pages with a block that runs in a place."""
    return [page for page in PAGES if any(block.where == where for block in blocks(page))]


def run(
    chosen: Iterable[Block],
    folder: Path,
    *,
    environment: Mapping[str, str],
    words: Mapping[str, str],
    seconds: float = 240,
) -> None:
    """Runs blocks of one page in order, and stops remaining processes after the last one.

    Args:
        chosen: The blocks.
        folder: The folder to run in, empty or that of earlier blocks of the page.
        environment: Added to this process's.
        words: Whole words of the page, and their replacements.
        seconds: The timeout of a block.

    Raises:
        AssertionError: A block failed; the message has its line and its output.
    """
    for name in _CHECKOUT:
        if not (folder / name).exists():
            (folder / name).symlink_to(ROOT / name)
    groups: list[int] = []
    try:
        for block in chosen:
            for name, text in block.files.items():
                _write(folder / name, _replaced(text, words))
            script = _replaced(block.script, words)
            log = folder / f"{block.line}.log"
            with log.open("w") as output:
                process = _start(script, folder, environment, output)
                groups.append(process.pid)
                if block.until:
                    outcome = _until(_replaced(block.until, words), process, seconds)
                else:
                    code = process.wait(timeout=seconds)
                    outcome = f"exit status {code}" if code else ""
            failure = f"{block.page}:{block.line}: {outcome}"
            assert not outcome, f"{failure}\n{script}\n{log.read_text()[-4000:]}"
    finally:
        for group in groups:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, signal.SIGTERM)


def _until(url: str, process: "subprocess.Popen[bytes]", seconds: float) -> str:
    """Waits for a response of 200 while the process runs; returns the failure, or an empty text."""
    deadline, last = time.monotonic() + seconds, ""
    while time.monotonic() < deadline:
        if process.poll() is not None:
            return f"exit status {process.returncode} before {url} responded"
        try:
            with urllib.request.urlopen(url, timeout=5) as response:
                if response.status == 200:
                    return ""
        except OSError as error:
            last = str(error)
        time.sleep(0.5)
    return f"{url} does not respond: {last}"


def _write(path: Path, text: str) -> None:
    """Writes a file of the page, unless a command has created or changed it."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def _start(
    script: str, folder: Path, environment: Mapping[str, str], output: IO[str]
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def _commands(body: str) -> str:
    """Returns the commands of a transcript: lines after ``$`` with continuations, or all lines."""
    lines = body.splitlines()
    if not any(line.startswith("$ ") for line in lines):
        return body
    commands: list[str] = []
    continued = False
    for line in lines:
        if continued or line.startswith("$ "):
            commands.append(line.removeprefix("$ "))
            continued = line.endswith("\\")
    return "\n".join(commands)


def _replaced(text: str, words: Mapping[str, str]) -> str:
    if not words:
        return text
    known: Sequence[str] = sorted(words, key=len, reverse=True)
    pattern = r"(?<![\w.])(" + "|".join(map(re.escape, known)) + r")(?![\w.])"
    return re.sub(pattern, lambda match: words[match[1]], text)
