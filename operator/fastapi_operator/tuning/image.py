"""The app's image: whether its tag is mutable."""

from collections.abc import Iterator

from fastapi_operator.problems import Problem, Severity, Stage


def mutable_tag(image: str) -> Iterator[Problem]:
    """Warns of a mutable tag."""
    name, pinned, _ = image.partition("@")
    _, colon, tag = name.rpartition("/")[2].partition(":")
    if pinned or (colon and tag != "latest"):
        return
    yield Problem(
        severity=Severity.WARNING,
        stage=Stage.PLAN,
        path="spec.image",
        message=f"{image} has a mutable tag: pods that start later may run another version, and a "
        "rollback cannot restore this one",
        remedy="use a tag of a version, or a digest with @sha256:…",
    )
