"""The shell blocks of the documentation: where each runs, and how.

A comment says it, directly above a block for that block, elsewhere for all that follow on the page:

    <!-- shell: none -->               without a cluster
    <!-- shell: api -->                against an API server without nodes
    <!-- shell: node -->               on a node, after the blocks above that need less
    <!-- shell: node, until http://localhost:8080 answers -->     goes on running until then
    <!-- shell: not run, since … -->   with the reason why not

The blocks of a page run in order in one folder, which has what a checkout has. A comment
``<!-- file: service.yaml -->`` above a block of another language puts that file there.
tests/docs runs what needs no node, tests/full the pages that need one: some from their beginning,
those about parts and alerts against a shop that has every part.
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
# What a block may read of the repository.
_CHECKOUT = ("charts", "manifests", "sample-app", "docs")
# Where nothing on the page says it.
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
        heading: The one that it stands under.
        line: The line of its fence.
        where: One of PLACES, a reason that begins with NOT_RUN, or nothing.
        until: The address whose answer ends it; nothing where it ends by itself.
        script: What bash runs.
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
    """The shell blocks of a page, in order."""
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
    """The pages with a block that runs in a place."""
    return [page for page in PAGES if any(block.where == where for block in blocks(page))]


def run(
    chosen: Iterable[Block],
    folder: Path,
    *,
    environment: Mapping[str, str],
    words: Mapping[str, str],
    seconds: float = 240,
) -> None:
    """Runs blocks of one page in order; what they leave running is ended with the last one.

    Args:
        chosen: The blocks.
        folder: The folder to run in, empty or that of earlier blocks of the page.
        environment: Added to this process's.
        words: Whole words of the page, and what stands for them there.
        seconds: The longest that a block may take.

    Raises:
        AssertionError: A block failed; the message has its place and all that it printed.
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
            told = f"{block.page}:{block.line}: {outcome}"
            assert not outcome, f"{told}\n{script}\n{log.read_text()[-4000:]}"
    finally:
        for group in groups:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, signal.SIGTERM)


def _until(url: str, process: "subprocess.Popen[bytes]", seconds: float) -> str:
    """Waits for an answer of 200 while the process runs; says what came instead."""
    deadline, last = time.monotonic() + seconds, ""
    while time.monotonic() < deadline:
        if process.poll() is not None:
            return f"exit status {process.returncode} before {url} answered"
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                if answer.status == 200:
                    return ""
        except OSError as error:
            last = str(error)
        time.sleep(0.5)
    return f"{url} does not answer: {last}"


def _write(path: Path, text: str) -> None:
    """A file of the page, unless a command has made or changed it since."""
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
    """The commands of a transcript: lines after ``$`` with their continuations, else all."""
    lines = body.splitlines()
    if not any(line.startswith("$ ") for line in lines):
        return body
    commands: list[str] = []
    goes_on = False
    for line in lines:
        if goes_on or line.startswith("$ "):
            commands.append(line.removeprefix("$ "))
            goes_on = line.endswith("\\")
    return "\n".join(commands)


def _replaced(text: str, words: Mapping[str, str]) -> str:
    if not words:
        return text
    known: Sequence[str] = sorted(words, key=len, reverse=True)
    pattern = r"(?<![\w.])(" + "|".join(map(re.escape, known)) + r")(?![\w.])"
    return re.sub(pattern, lambda match: words[match[1]], text)
