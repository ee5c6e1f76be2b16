import pytest

from fastapi_operator.settings import OperandImage


@pytest.mark.parametrize(
    ("tag", "major"),
    [
        ("18", "18"),
        ("18.1", "18"),
        ("17-bookworm", "17"),
        ("latest", None),
        ("7f362d3747834e4", None),
    ],
)
def test_the_major_version_of_an_image_is_the_number_at_the_start_of_its_tag(
    tag: str, major: str | None
) -> None:
    assert OperandImage(repository="library/postgres", tag=tag).major == major
