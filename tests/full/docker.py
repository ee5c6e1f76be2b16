"""`docker build` and `docker push` as pages type them: buildah, and the node's own images.

There is no registry, so a push loads the image into the node.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

from tests.cluster import buildah, images, node

ROOT = Path(__file__).resolve().parents[2]


def install(folder: Path, node_name: str) -> None:
    """Writes a program `docker` for that node into a folder, to put on a PATH."""
    program = folder / "docker"
    program.write_text(
        f"#!/bin/sh\nPYTHONPATH={ROOT}{os.pathsep}$PYTHONPATH NODE={node_name} "
        f'exec {sys.executable} -m tests.full.docker "$@"\n'
    )
    program.chmod(0o755)


def main() -> None:
    """Runs the command in the arguments."""
    parser = argparse.ArgumentParser(prog="docker", description=__doc__)
    commands = parser.add_subparsers(required=True)
    built = commands.add_parser("build")
    built.add_argument("--tag", required=True)
    built.add_argument("--file", type=Path)
    built.add_argument("context", type=Path)
    built.set_defaults(run=_build)
    pushed = commands.add_parser("push")
    pushed.add_argument("tag")
    pushed.set_defaults(run=_push)
    # deploy asks whether a builder works.
    commands.add_parser("version").set_defaults(run=lambda _: None)
    arguments = parser.parse_args()
    arguments.run(arguments)


def _build(arguments: argparse.Namespace) -> None:
    (python,) = images.build(["python"])
    with tempfile.TemporaryDirectory() as folder:
        buildah.build(
            arguments.tag,
            dockerfile=arguments.file or arguments.context / "Dockerfile",
            context=arguments.context,
            arguments={"PYTHON_IMAGE": python.references[0]},
            log=Path(folder) / "log",
        )


def _push(arguments: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "image.tar"
        buildah.save(arguments.tag, archive, arguments.tag)
        node.Node(os.environ["NODE"]).load_images([str(archive)])


if __name__ == "__main__":
    main()
