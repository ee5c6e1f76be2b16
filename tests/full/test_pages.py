"""Runs the commands of the documentation on a node; each page ends with a running service."""

import os
import socket
from pathlib import Path

import pytest

from tests.docs import blocks
from tests.docs.test_blocks import WAYS, WORDS
from tests.full import docker
from tests.full.conftest import EXAMPLES, NODE, Platform

pytestmark = pytest.mark.node

# These begin with an empty cluster; the others use running services.
PAGES = (
    "README.md",
    "docs/deploy.md",
    "docs/first-service.md",
    "docs/install.md",
    "docs/take-over.md",
    "manifests/README.md",
)


def words() -> dict[str, str]:
    """A port that is free here in the place of the page's."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return {**WORDS, "8080": str(probe.getsockname()[1])}


def environment(platform: Platform) -> dict[str, str]:
    """Returns an environment with kubectl, helm and the cluster's kubeconfig."""
    path = f"{platform.helm.program.parent}{os.pathsep}{platform.node.programs}"
    return {
        "PATH": f"{path}{os.pathsep}{os.environ['PATH']}",
        "KUBECONFIG": str(platform.kubectl.kubeconfig),
    }


def chosen(page: str, heading: str | None = None) -> list[blocks.Block]:
    """The blocks of a page, or of a part of it, that can run on a node."""
    return [
        block
        for block in blocks.blocks(blocks.ROOT / page)
        if block.where in blocks.PLACES and heading in (None, block.heading)
    ]


@pytest.mark.parametrize("way", WAYS)
def test_each_way_ends_at_a_running_service(platform: Platform, way: str, tmp_path: Path) -> None:
    commands = chosen("README.md", way)
    assert commands[-1].until
    blocks.run(commands, tmp_path, environment=environment(platform), words=words())


def test_the_manifests_page_applies_the_manifests(platform: Platform, tmp_path: Path) -> None:
    # The sample's app has migrations, so its image is the sample app's.
    platform.node.name_image("sample-app", EXAMPLES[0])
    try:
        commands = chosen("manifests/README.md")
        blocks.run(commands, tmp_path, environment=environment(platform), words={})
    finally:
        platform.node.name_image("hello", EXAMPLES[0])


@pytest.mark.parametrize("page", ["docs/first-service.md", "docs/deploy.md"])
def test_a_project_becomes_a_service(platform: Platform, tmp_path: Path, page: str) -> None:
    platform.install()
    programs, work = tmp_path / "programs", tmp_path / "work"
    programs.mkdir()
    work.mkdir()
    docker.install(programs, NODE)
    known = environment(platform)
    known["PATH"] = f"{programs}{os.pathsep}{known['PATH']}"
    blocks.run(chosen(page), work, environment=known, words={})
    done = platform.kubectl("get", "fastapiservice", "shop", "-o", "jsonpath={.status.url}")
    assert done.startswith("http://shop")


def test_the_install_page_installs_the_operator(platform: Platform, tmp_path: Path) -> None:
    commands = chosen("docs/install.md", "With Helm")
    blocks.run(commands, tmp_path, environment=environment(platform), words={})
