"""The choice of the builder, and its commands."""

from dataclasses import replace
from pathlib import Path

import pytest

from fastapi_operator.delivery import builder
from fastapi_operator.delivery.builder import Build, Builder, NoBuilderError

DOWN = "docker version: Cannot connect to the Docker daemon"


@pytest.mark.parametrize(
    ("requested", "failures", "chosen"),
    [
        (None, {Builder.DOCKER: "", Builder.BUILDAH: ""}, Builder.DOCKER),
        (None, {Builder.DOCKER: DOWN, Builder.BUILDAH: ""}, Builder.BUILDAH),
        (None, {Builder.BUILDAH: "", Builder.PODMAN: ""}, Builder.PODMAN),
        (Builder.BUILDAH, {Builder.BUILDAH: ""}, Builder.BUILDAH),
    ],
)
def test_the_first_that_works_builds(
    requested: Builder | None, failures: dict[Builder, str], chosen: Builder
) -> None:
    assert builder.choose(requested, failures) is chosen


@pytest.mark.parametrize(
    ("requested", "failures", "words"),
    [
        (None, {}, "install docker, podman or buildah, or give a built image with --image"),
        (None, {Builder.DOCKER: DOWN}, DOWN),
        (Builder.PODMAN, {}, "--builder podman: podman is not on PATH"),
        (Builder.DOCKER, {Builder.DOCKER: DOWN}, f"--builder docker: {DOWN}"),
    ],
)
def test_a_machine_without_a_builder_gets_the_remedy(
    requested: Builder | None, failures: dict[Builder, str], words: str
) -> None:
    with pytest.raises(NoBuilderError) as caught:
        builder.choose(requested, failures)
    assert words in str(caught.value)


BUILD = Build(Path("/p/Dockerfile"), Path("/p"), "ghcr.io/acme/shop:1", Path("/p/.dockerignore"))


def test_each_builder_has_its_options() -> None:
    whole = ("--file", "/p/Dockerfile", "--tag", "ghcr.io/acme/shop:1", "/p")
    other = ("--format", "docker", "--ignorefile", "/p/.dockerignore")
    made = {program: builder.build_command(program, BUILD) for program in Builder}
    assert made == {
        Builder.DOCKER: ("docker", "build", *whole),
        Builder.PODMAN: ("podman", "build", *other, *whole),
        Builder.BUILDAH: ("buildah", "build", *other, "--layers", *whole),
    }


@pytest.mark.parametrize("program", Builder)
def test_platform_and_logins_of_indexes_are_options(program: Builder) -> None:
    build = Build(Path("D"), Path(), "shop:1", platform="linux/arm64", login=Path("/home/a/.netrc"))
    command = " ".join(builder.build_command(program, build))
    assert "--platform linux/arm64 --secret id=netrc,src=/home/a/.netrc " in command
    assert "--ignorefile" not in command


def test_docker_attests_only_images_that_are_pushed() -> None:
    loaded = replace(BUILD, is_loaded=True)
    prefix = ("env", "BUILDX_NO_DEFAULT_ATTESTATIONS=1")
    for program in Builder:
        made = builder.build_command(program, loaded)
        expected = builder.build_command(program, BUILD)
        assert made == (*(prefix if program is Builder.DOCKER else ()), *expected)


def test_an_archive_has_the_same_format_from_each_builder() -> None:
    made = {p: " ".join(builder.save_command(p, "shop:1", Path("/t/i.tar"))) for p in Builder}
    assert made == {
        Builder.DOCKER: "docker save --output /t/i.tar shop:1",
        Builder.PODMAN: "podman save --format docker-archive --output /t/i.tar shop:1",
        Builder.BUILDAH: "buildah push shop:1 docker-archive:/t/i.tar:shop:1",
    }


def test_only_a_registry_on_this_machine_is_used_without_tls() -> None:
    assert builder.push_command(Builder.DOCKER, "localhost:5000/shop:1") == (
        *("docker", "push"),
        "localhost:5000/shop:1",
    )
    plain = builder.push_command(Builder.BUILDAH, "localhost:5000/shop:1")
    assert plain == ("buildah", "push", "--tls-verify=false", "localhost:5000/shop:1")
    for image in ("ghcr.io/acme/shop:1", "localhost.example.com/shop:1"):
        assert builder.push_command(Builder.PODMAN, image) == ("podman", "push", image)
