"""The app's image: whether its name says which version runs."""

from collections.abc import Iterator

from fastapi_operator.problems import Problem, Severity, Stage


def mutable_tag(image: str) -> Iterator[Problem]:
    """A warning where the same name may mean another image tomorrow."""
    name, pinned, _ = image.partition("@")
    _, colon, tag = name.rpartition("/")[2].partition(":")
    if pinned or (colon and tag != "latest"):
        return
    yield Problem(
        severity=Severity.WARNING,
        stage=Stage.PLAN,
        path="spec.image",
        message=f"{image} may mean another image tomorrow: pods that start later run another "
        "version, and no rollback leads back",
        remedy="name a version, or pin a digest with @sha256:…",
    )
