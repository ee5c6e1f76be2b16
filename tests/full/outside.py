"""Projects of others, and a builder that is newer than Debian's to build them.

There is no registry, so images with the content of the public ones have their names in the
builder's own store: Python from Debian, and programs from the indexes where they are published.
"""

import os
import pty
import re
import resource
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.cluster import buildah, execution, images, packages, places
from tests.e2e.test_doctor import MAIN

_CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
_BUN, _UV = "1.3.0", "0.9.26"
# The programs that a step runs accept the certificates of the machine, also of a mirror.
_TRUST = " ".join(
    f"{name}={_CERTIFICATES}"
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")
)
# Newer builders want the program of their networks, also if no step uses one.
_PACKAGES = {"npm": "npm", "/usr/lib/podman/netavark": "netavark"}
# Name of a public image -> the Dockerfile of one with the same content.
_PUBLIC = {
    "docker.io/library/python:3.14": "FROM {python}\nENV {trust}\n",
    "docker.io/oven/bun:1": (
        "FROM {python}\nENV {trust}\nCOPY bun /usr/local/bin/bun\n"
        "RUN ln -s bun /usr/local/bin/bunx && ln -s bun /usr/local/bin/node\n"
    ),
    f"ghcr.io/astral-sh/uv:{_UV}": "FROM scratch\nCOPY uv uvx /\n",
}


# The images are in no registry. This machine runs no containers, and raises no limits.
_OPTIONS = (
    *("--isolation", "chroot", "--network", "host", "--pull-never"),
    *("--volume", f"{_CERTIFICATES}:{_CERTIFICATES}:ro"),
    *("--ulimit", "nofile={}:{}".format(*resource.getrlimit(resource.RLIMIT_NOFILE))),
    *("--ulimit", "nproc={}:{}".format(*resource.getrlimit(resource.RLIMIT_NPROC))),
)
_QUESTION = re.compile(r"(?m)^(\S+)(?: \[y/N\])?: \Z")


@dataclass(frozen=True)
class Project:
    """A public project.

    Attributes:
        repository: Its address.
        commit: The commit that is deployed.
        folder: The folder that is given to ``deploy``.
        answers: What is typed at each question; the others get an empty line.
    """

    repository: str
    commit: str
    folder: str = "."
    answers: Mapping[str, str] = field(default_factory=dict)

    def fetch(self, root: Path) -> Path | None:
        """Returns the project in a folder; None if its repository is not reachable."""
        root.mkdir()
        git = ["git", "-C", str(root)]
        subprocess.run([*git, "init", "--quiet"], check=True)
        fetched = subprocess.run(
            [*git, "fetch", "--quiet", "--depth=1", self.repository, self.commit],
            check=False,
            env={**os.environ, "GIT_TERMINAL_PROMPT": "0"},
        )
        if fetched.returncode:
            return None
        subprocess.run([*git, "checkout", "--quiet", "FETCH_HEAD"], check=True)
        return root / self.folder


@dataclass(frozen=True)
class Deployed:
    """The end of a deployment.

    Attributes:
        status: The exit status.
        output: All that it printed.
        seconds: Its time without the build and the load of the image.
    """

    status: int
    output: str
    seconds: float


def install(program: Path, folder: Path, node: str) -> None:
    """Writes ``buildah`` with the public images, and ``load`` for a node, into a folder.

    Args:
        program: The builder.
        folder: The folder.
        node: The name of the node.
    """
    packages.ensure(_PACKAGES)
    store = _store(program)
    build = f'[ "$1" = build ] && shift && set -- build {" ".join(_OPTIONS)} "$@"'
    for name, line in {
        "buildah": f'{build}\nexec {shlex.join(store)} "$@"',
        "load": f'exec {sys.executable} -m tests.cluster load-image --name {node} "$@"',
    }.items():
        script = f"#!/bin/sh\nexport PYTHONPATH={places.REPOSITORY}\n{line}\n"
        (folder / name).write_text(script)
        (folder / name).chmod(0o755)
    with tempfile.TemporaryDirectory() as temporary:
        _provide(store, Path(temporary))


def _store(program: Path) -> list[str]:
    """Returns the command of the builder with a store of its own: older ones cannot read it."""
    place = places.cache() / "buildah-current"
    place.mkdir(parents=True, exist_ok=True)
    driver = os.environ.get("STORAGE_DRIVER", "overlay")
    roots = ("--root", str(place / "root"), "--runroot", str(place / "run"))
    return [str(program), *roots, "--storage-driver", driver]


def _provide(store: Sequence[str], folder: Path) -> None:
    """Makes the public images, as far as the store does not have them."""
    listed = execution.output_of([*store, "images", "--format", "{{.Name}}:{{.Tag}}"]).split()
    if set(_PUBLIC) <= set(listed):
        return
    (built,) = images.build(["python"])
    python, archive = built.references[0], folder / "python.tar"
    buildah.save(python, archive, python)
    execution.output_of([*store, "pull", "--quiet", f"docker-archive:{archive}"])
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target"]
    execution.output_of([*pip, folder / "python", f"uv=={_UV}"])
    npm = ["npm", "install", "--no-save", f"@oven/bun-linux-x64@{_BUN}", "--prefix"]
    execution.output_of([*npm, folder])
    for pattern in ("python/bin/uv*", "node_modules/@oven/*/bin/bun"):
        for found in list(folder.glob(pattern)):
            found.rename(folder / found.name)
    for name, text in _PUBLIC.items():
        file = folder / "Dockerfile"
        file.write_text(text.format(python=python, trust=_TRUST))
        execution.output_of([*store, "build", *_OPTIONS, "--tag", name, "--file", file, folder])


def deploy(
    project: Project, root: Path, programs: Path, environment: Mapping[str, str], *options: str
) -> Deployed:
    """Deploys a project as a person does who has a terminal, and measures it."""
    ours, its = pty.openpty()
    command = [sys.executable, "-c", MAIN, "deploy", str(root), "--builder", "buildah"]
    command += ["--load", str(programs / "load"), *options]
    began, image, text = time.monotonic(), [0.0, 0.0], ""
    with subprocess.Popen(
        command,
        stdin=its,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**environment, "PATH": f"{programs}{os.pathsep}/usr/bin:/bin"},
        # Without the terminal of the tests, from which a hidden answer would be read.
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        while part := os.read(process.stdout.fileno(), 65536):
            text += part.decode(errors="replace")
            for at, words in enumerate(("$ buildah build", "applied FastAPIService")):
                image[at] = image[at] or (time.monotonic() if words in text else 0.0)
            if question := _QUESTION.search(text):
                # A terminal without echo drops what was typed before.
                time.sleep(0.2)
                os.write(ours, f"{project.answers.get(question.group(1), '')}\n".encode())
                text += "\n"
    for end in (ours, its):
        os.close(end)
    return Deployed(process.returncode, text, time.monotonic() - began - (image[1] - image[0]))
