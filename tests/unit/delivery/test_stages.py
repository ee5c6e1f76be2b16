"""Whether a file of a build is in its image."""

import pytest

from fastapi_operator.delivery import stages


@pytest.mark.parametrize(
    ("line", "path", "copies"),
    [
        ("COPY . /app", ".env", True),
        ("COPY ./ /app", "a/.env", True),
        ("ADD / /app", ".env", True),
        ("COPY app /app", ".env", False),
        ("COPY app /app", "app/.env", True),
        ("COPY ./app/ /app", "app/core/.env", True),
        ("COPY app /app", "application/.env", False),
        ("COPY .env /app/", ".env", True),
        ("COPY * /app/", ".env", True),
        ("COPY *.py /app/", ".env", False),
        ("COPY a* /app/", "app/.env", True),
        ('COPY ["app", "/app"]', "app/.env", True),
        # The value of an argument is not known.
        ("COPY $SOURCE /app", ".env", True),
        ("COPY src/$PART /app", ".env", False),
        ("COPY src/$PART /app", "src/shop/.env", True),
        ("COPY --from=builder / /app", ".env", False),
        ("RUN --mount=type=bind,target=/src cp -r /src /app", ".env", True),
        ("RUN --mount=type=bind,source=uv.lock,target=uv.lock uv sync", ".env", False),
        ("RUN --mount=type=bind,from=builder,target=/src cp -r /src /app", ".env", False),
        ("RUN --mount=type=cache,target=/cache uv sync", ".env", False),
    ],
)
def test_an_image_may_have_a_file_that_is_copied(line: str, path: str, copies: bool) -> None:
    assert stages.may_contain(f"FROM scratch\n{line}\n", path) is copies


@pytest.mark.parametrize(
    ("last", "contains"),
    [
        ("FROM web", True),
        ("FROM base", False),
        ("COPY --from=web /app /app", True),
        ("COPY --from=web / /", True),
        ("COPY --from=1 /app/web /app", True),
        ("COPY --from=web /app/web/.env /app/", True),
        # The result of a build, without its sources.
        ("COPY --from=web /app/web/dist /app", False),
        ("COPY --from=web dist /app", False),
        ("COPY --from=base /app /app", False),
        ("COPY --from=docker.io/library/busybox /bin /bin", False),
        ("COPY --from=web $WHERE /app", True),
        ("COPY web/src /app", False),
    ],
)
def test_only_the_last_stage_becomes_the_image(last: str, contains: bool) -> None:
    text = "FROM a AS base\nFROM b AS web\nWORKDIR /app/web\nCOPY web .\nRUN build\n"
    text += last if last.startswith("FROM") else f"FROM base\n{last}"
    assert stages.may_contain(f"{text}\n", "web/.env") is contains


def test_a_stage_passes_on_what_it_got() -> None:
    text = (
        "FROM a AS one\nCOPY . /src\n"
        "FROM b AS two\nCOPY --from=one /src/app /code/\n"
        "FROM two\nRUN true\n"
    )
    assert stages.may_contain(text, "app/.env")
    assert not stages.may_contain(text, ".env")
