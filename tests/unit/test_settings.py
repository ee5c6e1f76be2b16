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
def test_an_image_tells_its_major_version_where_its_tag_begins_with_it(
    tag: str, major: str | None
) -> None:
    assert OperandImage(repository="library/postgres", tag=tag).major == major
