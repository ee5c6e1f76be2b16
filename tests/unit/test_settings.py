import pytest

from fastapi_operator.settings import OperandImage, Settings


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


def test_written_settings_are_read_with_the_same_meaning() -> None:
    given = {
        "runAsUser": None,
        "watchNamespaces": ["team"],
        "images": {"nginx": {"repository": "nginx", "tag": "1.30", "registry": "mirror.test"}},
        "profiles": {"internal": {"defaults": {"server": {"workers": 2}}, "labels": {"a": "b"}}},
    }
    settings = Settings.from_mapping(given)
    written = settings.to_mapping()
    assert Settings.from_mapping(written) == settings
    # A default that a profile leaves out is derived, so it must stay absent.
    assert written["profiles"]["internal"] == given["profiles"]["internal"]
    assert set(written) == {field.alias for field in Settings.model_fields.values()}


def test_an_image_keeps_the_keys_that_a_file_does_not_set() -> None:
    found = Settings.from_mapping(
        {"images": {"nginx": {"registry": "mirror.example.com"}, "postgresExporter": {"tag": "v9"}}}
    ).images
    assert found.nginx.reference == f"mirror.example.com/library/nginx:{found.nginx.tag}"
    assert found.postgres_exporter.reference.endswith("/postgres-exporter:v9")
