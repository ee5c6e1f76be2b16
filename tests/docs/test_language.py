"""The repository's prose is plain English: no avoided word, and rates within their bounds."""

import pytest

from tests.language import check, prose, words


@pytest.fixture(scope="module")
def tree() -> list[prose.Text]:
    """Returns the prose of the whole repository."""
    return [text for file in prose.files() for text in prose.texts(file)]


def test_no_avoided_word_is_left(tree: list[prose.Text]) -> None:
    found = sorted(set(check.findings(tree)))
    assert not found, "\n".join(map(str, found))


def test_rates_of_the_tree_are_within_their_bounds(tree: list[prose.Text]) -> None:
    problems = check.outside(check.counts(tree)["all"])
    assert not problems, "per 10,000 words: " + "; ".join(problems)


@pytest.mark.parametrize(
    ("path", "source", "line", "phrase"),
    [
        ("page.md", "# Title\n\nThe value\nstands in the file.\n", 4, "stands"),
        ("page.md", "It is kept for\never.\n", 1, "for ever"),
        ("code.py", '"""What the\npods told."""\n', 2, "told"),
        ("code.py", "x = 1\n# From nought\n# on.\n", 2, "nought"),
        (
            "code.py",
            'print(\n    f"the key {x} is set "\n    "for all anew"\n)\n',
            3,
            "anew",
        ),
        ("code.py", 'raise ValueError(f"{value} is no text of the model")\n', 1, "is no text"),
        ("code.py", "def test_a_pod_is_told() -> None: ...\n", 1, "told"),
        ("code.py", "x = 1\ntold = [x]\n", 2, "told"),
        ("code.py", "def f(wish: int) -> None: ...\n", 1, "wish"),
        ("bootstrap.sql.j2", "SELECT 1;\n-- Nobody logs in.\n", 2, "Nobody"),
        ("values.yaml", "# Whoever reads this.\nkey: 1\n", 1, "Whoever"),
        ("alerts.yaml", "a:\n- summary: the pod answers hardly ever\n", 2, "hardly"),
        ("nginx.conf.j2", "{# The proxy's wish. #}\nlisten 80;\n", 1, "wish"),
        ("NOTES.txt", "{{ .Values.x }} says when.\n", 1, "says"),
    ],
)
def test_an_avoided_word_is_reported(path: str, source: str, line: int, phrase: str) -> None:
    found = [
        (finding.line, finding.phrase) for finding in check.findings(prose.texts(path, source))
    ]
    assert (line, phrase) in found


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("page.md", "`told` and [a page](told.md).\n\n```text\nit stands anew\n```\n"),
        ("code.py", 'x = record["told"]\n'),
        ("page.md", "CPU stands for the processor. There is no limit, and it is no longer set."),
        ("code.py", 'names = {"told": "says"}\n'),
        ("code.py", '"""The field ``said`` of the record."""\n'),
        ("crd.yaml", "# Generated from the models.\na: what nobody asked says anew\n"),
    ],
)
def test_code_and_plain_english_are_not_reported(path: str, source: str) -> None:
    assert not list(check.findings(prose.texts(path, source)))


def test_each_row_has_a_replacement_and_a_reason() -> None:
    for row in words.AVOIDED:
        assert row.use and row.reason, row.pattern
        row.regex  # noqa: B018 - it compiles


def test_rates_out_of_bounds_are_reported() -> None:
    texts = list(prose.texts("page.md", "What it is where it is, and what answers. " * 20))
    problems = " ".join(check.outside(check.counts(texts)["all"]))
    for name in ("if", "what", "where", "answers", "for example"):
        assert f'"{name}"' in problems


def test_rates_within_bounds_are_not_reported() -> None:
    plain = "If the pool is full, the request waits. For example, one of two. " + "A word. " * 40
    assert not check.outside(check.counts(prose.texts("page.md", plain))["all"])
