"""Tags of images: valid, and different for different sources."""

from pathlib import Path

import pytest

from fastapi_operator.delivery import tag


@pytest.mark.parametrize(
    ("described", "content", "expected"),
    [
        ("v1.4.2", "", "v1.4.2"),
        ("v1.4.2-3-g1a2b3c4d5e6f", "0123456789", "v1.4.2-3-g1a2b3c4d5e6f-0123456789"),
        ("1a2b3c4d5e6f", "", "1a2b3c4d5e6f"),
        ("shop/v1+build", "", "shop-v1-build"),
        ("-.v1", "", "v1"),
        ("", "0123456789", "0123456789"),
        ("x" * 200, "0123456789", f"{'x' * 117}-0123456789"),
        ("x" * 200, "", "x" * 128),
    ],
)
def test_a_tag_has_the_commit_and_the_content(described: str, content: str, expected: str) -> None:
    made = tag.of_sources(described, content)
    assert made == expected
    assert tag.is_valid(made)


@pytest.mark.parametrize("text", ["", "-a", ".a", "a/b", "a b", "a" * 129, "a:b"])
def test_an_invalid_tag_is_recognised(text: str) -> None:
    assert not tag.is_valid(text)


def test_the_hash_follows_content_names_and_modes(tmp_path: Path) -> None:
    def made(**added: str) -> str:
        names = [path.name for path in tmp_path.iterdir()]
        return tag.content_hash(tmp_path, names, added)

    (tmp_path / "a").write_text("one")
    first = made()
    assert made() == first
    assert made(b="") != first
    (tmp_path / "a").chmod(0o755)
    executable = made()
    assert executable != first
    (tmp_path / "a").write_text("two")
    assert made() not in (first, executable)
    before = made()
    (tmp_path / "a").rename(tmp_path / "c")
    assert made() != before
    (tmp_path / "link").symlink_to("c")
    linked = made()
    (tmp_path / "link").unlink()
    (tmp_path / "link").symlink_to("d")
    assert made() != linked


def test_a_file_that_will_be_written_has_the_hash_of_the_written_one(tmp_path: Path) -> None:
    planned = tag.content_hash(tmp_path, [], {"Dockerfile": "FROM scratch\n"})
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    assert tag.content_hash(tmp_path, ["Dockerfile"], {}) == planned
