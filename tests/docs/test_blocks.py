"""Every shell block of the documentation runs, or has the reason why it cannot."""

import os
from pathlib import Path

import pytest

from tests.cluster import binaries
from tests.cluster.apiserver import ApiServer
from tests.docs import blocks

# Published addresses on a page, replaced by the checkout's own files.
WORDS = {
    "https://github.com/fastapi-operator/fastapi-operator//manifests?ref=v0.1.0": "../manifests"
}

# Headings of README.md and docs/quick-start.md; tests/full runs each on a node.
WAYS = ("With Helm", "With kubectl", "With a GitOps tree")


def name(page: Path) -> str:
    return page.relative_to(blocks.ROOT).as_posix()


@pytest.fixture(scope="module")
def programs() -> dict[str, str]:
    """Returns an environment with helm, kubectl and the command line."""
    return {"PATH": f"{binaries.ensure()}{os.pathsep}{os.environ['PATH']}"}


@pytest.mark.parametrize("page", blocks.PAGES, ids=name)
def test_every_block_runs_or_has_a_reason(page: Path) -> None:
    for block in blocks.blocks(page):
        known = block.where in blocks.PLACES or block.where.startswith(blocks.NOT_RUN)
        assert known, f"{block.page}:{block.line}: add a comment with the place above the block"


@pytest.mark.parametrize("page", blocks.pages("none"), ids=name)
def test_without_a_cluster(page: Path, programs: dict[str, str], tmp_path: Path) -> None:
    environment = {**programs, "KUBECONFIG": os.devnull}
    chosen = [block for block in blocks.blocks(page) if block.where == "none"]
    blocks.run(chosen, tmp_path, environment=environment, words={})


@pytest.mark.api
@pytest.mark.parametrize("page", blocks.pages("api"), ids=name)
def test_with_an_api_server(page: Path, programs: dict[str, str], tmp_path: Path) -> None:
    with ApiServer(f"docs-{os.getpid()}", controllers=True) as server:
        environment = {**programs, "KUBECONFIG": str(server.kubeconfig)}
        chosen = [block for block in blocks.blocks(page) if block.where == "api"]
        blocks.run(chosen, tmp_path, environment=environment, words=WORDS)


@pytest.mark.parametrize("page", ["README.md", "docs/quick-start.md"])
def test_each_way_to_a_running_service_has_at_most_five_commands(page: str) -> None:
    for way in WAYS:
        commands = [
            command
            for block in blocks.blocks(blocks.ROOT / page)
            if block.heading == way
            for command in block.script.strip().splitlines()
        ]
        assert 2 <= len(commands) <= 5, f"{page}: {way}: {len(commands)} commands"
