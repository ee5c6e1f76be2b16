"""Which tags of an image are mutable."""

import pytest

from fastapi_operator.tuning.image import mutable_tag


@pytest.mark.parametrize(
    "image",
    ["shop", "shop:latest", "registry.test:5000/shop", "registry.test/a/shop:latest"],
)
def test_a_name_that_may_mean_another_image_tomorrow_is_a_warning(image: str) -> None:
    (problem,) = mutable_tag(image)
    assert image in problem.message
    assert problem.remedy


@pytest.mark.parametrize(
    "image", ["shop:1", "registry.example.com:5000/shop:1.2", f"shop:latest@sha256:{'0' * 64}"]
)
def test_a_version_or_a_digest_is_none(image: str) -> None:
    assert not list(mutable_tag(image))
