"""What the documentation tells to type, typed on a node: each way ends at a running service."""

import os
import socket
from pathlib import Path

import pytest

from tests.cluster import buildah, images
from tests.docs import blocks
from tests.docs.test_blocks import WAYS, WORDS
from tests.full.conftest import EXAMPLES, Platform

pytestmark = pytest.mark.node

# Pages that begin with an empty cluster; the last two in test_take_over.py and test_canary.py.
PAGES = (
    "README.md",
    "docs/quick-start.md",
    "docs/install.md",
    "docs/first-service.md",
    "manifests/README.md",
    "docs/take-over.md",
    "docs/out-of-scope.md",
)


def words() -> dict[str, str]:
    """A port that is free here in the place of the page's."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return {**WORDS, "8080": str(probe.getsockname()[1])}


def environment(platform: Platform) -> dict[str, str]:
    """The environment of somebody who has kubectl, helm and the cluster's kubeconfig."""
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
@pytest.mark.parametrize("page", ["README.md", "docs/quick-start.md"])
def test_each_way_ends_at_a_running_service(
    platform: Platform, page: str, way: str, tmp_path: Path
) -> None:
    commands = chosen(page, way)
    assert commands[-1].until
    blocks.run(commands, tmp_path, environment=environment(platform), words=words())


@pytest.mark.parametrize("page", ["docs/install.md", "manifests/README.md"])
def test_a_page_about_installing(platform: Platform, page: str, tmp_path: Path) -> None:
    if page == "manifests/README.md":
        # The sample's app has migrations, so its image is the sample app's.
        platform.node.name_image("sample-app", EXAMPLES[0])
    try:
        blocks.run(chosen(page), tmp_path, environment=environment(platform), words={})
    finally:
        platform.node.name_image("hello", EXAMPLES[0])


def test_a_project_becomes_a_service(platform: Platform, tmp_path: Path) -> None:
    page = "docs/first-service.md"
    known = environment(platform)
    platform.install()
    commands = chosen(page)
    build = next(b for b in blocks.blocks(blocks.ROOT / page) if b.script.startswith("docker"))
    before = [block for block in commands if block.line < build.line]
    blocks.run(before, tmp_path, environment=known, words={})
    image, folder = build.script.split()[3:5]
    (base,) = images.build(["python"])
    buildah.build(
        "localhost/fastapi-operator/project:latest",
        dockerfile=tmp_path / folder / "Dockerfile",
        context=tmp_path / folder,
        arguments={"PYTHON_IMAGE": base.references[0]},
        log=tmp_path / "build.log",
    )
    archive = tmp_path / "project.tar"
    buildah.save("localhost/fastapi-operator/project:latest", archive, image)
    platform.node.load_images([str(archive)])
    after = [block for block in commands if block.line > build.line]
    blocks.run(after, tmp_path, environment=known, words={})
