"""Mounts that old releases of Podman and Buildah refuse."""

import pytest

from fastapi_operator.delivery import mounts
from fastapi_operator.delivery.builder import Builder
from fastapi_operator.delivery.mounts import RelativeMount

BUILDAH = "Version:         {}\nGo Version:      go1.19.8\nImage Spec:      1.0.2\n"
PODMAN = "Client:       Podman Engine\nVersion:      {}\nAPI Version:  {}\n"
DOCKER = "Client:\n Version:           20.10.24\n API version:       1.41\n"
LOCK = (
    "RUN --mount=type=cache,target=/cache \\\n"
    "    --mount=type=bind,source=uv.lock,{} \\\n"
    "    uv sync\n"
)
TEXT = "FROM python:3.14\n\n# The project.\nWORKDIR /app/\n" + LOCK.format("target=uv.lock")
(MOUNT,) = mounts.relative_mounts(TEXT)


@pytest.mark.parametrize(
    ("builder", "version", "refuses"),
    [
        (Builder.BUILDAH, BUILDAH.format("1.28.2"), True),
        (Builder.BUILDAH, BUILDAH.format("1.29.0"), False),
        (Builder.BUILDAH, BUILDAH.format("1.43.0-dev"), False),
        (Builder.PODMAN, PODMAN.format("4.3.1", "4.3.1"), True),
        (Builder.PODMAN, PODMAN.format("4.4.0", "4.4.0"), False),
        (Builder.PODMAN, PODMAN.format("10.0.0", "10.0.0"), False),
        (Builder.DOCKER, DOCKER, False),
        (Builder.BUILDAH, "", False),
    ],
)
def test_only_old_releases_refuse_a_relative_target(
    builder: Builder, version: str, refuses: bool
) -> None:
    assert bool(mounts.refusal(builder, version, MOUNT)) is refuses


def test_a_refusal_has_line_version_and_remedies() -> None:
    assert mounts.refusal(Builder.BUILDAH, BUILDAH.format("1.28.2"), MOUNT) == (
        "line 6: buildah 1.28.2 cannot mount to a relative path, target=uv.lock; build with "
        "buildah 1.29 or newer or with docker, or write target=/app/uv.lock there and in each "
        "such mount"
    )


@pytest.mark.parametrize(
    ("text", "absolute"),
    [
        ("FROM a\nWORKDIR /app\nWORKDIR src\n", "target=/app/src/uv.lock"),
        ("FROM a AS base\nWORKDIR /app\nFROM Base\n", "target=/app/uv.lock"),
        # The image may have a working directory.
        ("FROM a\n", ""),
        ("FROM a\nWORKDIR /app\nFROM a\n", ""),
        ("FROM a\nWORKDIR $HOME\n", ""),
    ],
)
def test_the_absolute_path_is_that_of_the_working_directory(text: str, absolute: str) -> None:
    (mount,) = mounts.relative_mounts(text + LOCK.format("target=uv.lock"))
    assert mount == RelativeMount("target=uv.lock", absolute, text.count("\n") + 2)


@pytest.mark.parametrize(
    ("options", "relative"),
    [
        ("dst=uv.lock", True),
        ("destination=uv.lock", True),
        ("target=/app/uv.lock", False),
        ("target=$TARGET", False),
        ("from=uv,source=/uv,target=uv", True),
    ],
)
def test_a_target_is_relative_as_it_is_written(options: str, relative: bool) -> None:
    text = f"FROM a\nRUN --mount=type=bind,{options} uv sync\n"
    assert bool(list(mounts.relative_mounts(text))) is relative
