"""Extracts prose from the repository's files: each text with its file and line.

Prose is Markdown without code, docstrings, comments, and strings that read as a sentence. The
names of functions, classes and variables are texts too, because test names are read as sentences.
They do not count towards rates.
"""

import ast
import io
import re
import subprocess
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]

# The table itself, its test, and third parties' texts.
_SKIPPED = re.compile(
    r"^(?:tests/language/words\.py|tests/docs/test_language\.py|LICENSE"
    r"|tests/golden/[^/]+/.+|requirements/.*\.txt|.*requirements\.txt)$"
)
_GENERATED = re.compile(r"^\W*Generated (?:from|by) ", re.MULTILINE)
_HASH_SUFFIXES = {".yaml", ".yml", ".toml", ".sh", ".ini", ".tpl", ".j2"}
# Comment marks of other languages; in a template, those of the rendered file.
_MARKS = {".go": "//", ".lua": "--", ".sql.j2": "--", ".ini.j2": ";"}
_HASH_NAMES = {"Makefile", "Dockerfile", "run", ".gitignore", ".dockerignore", ".helmignore"}

_FENCE = re.compile(r"^[ \t]*(```+|~~~+).*?^[ \t]*\1[ \t]*$", re.MULTILINE | re.DOTALL)
_HTML_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_INLINE_CODE = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)", re.DOTALL)
_LINK_URL = re.compile(r"\]\([^)\s]*\)|^\[[^\]]+\]:.*$|<?https?://\S+", re.MULTILINE)
_TEMPLATE = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)
_TEMPLATE_COMMENT = re.compile(r"\{\{-?\s*/\*(.*?)\*/|\{#(.*?)#\}", re.DOTALL)

_SENTENCE = re.compile(r"(?:\b[a-z]{2,}\b[,;:]? ){2,}[a-z]{2,}\b")
_CODE_LINE = re.compile(
    r"^\s*(?:[-\w\"'./$]+:(?:\s|$)|import |from |def |class |@|SELECT |[}{])|[;{}=]"
)


@dataclass(frozen=True)
class Text:
    """One piece of prose.

    Attributes:
        path: The file, relative to the root.
        line: The line on which the text begins.
        text: The prose; its line breaks are those of the file, unless `lines` is set.
        lines: The source lines of a string, in which a phrase is looked up.
        counted: Whether the text counts towards rates.
    """

    path: str
    line: int
    text: str
    lines: tuple[str, ...] = ()
    counted: bool = True

    def line_of(self, start: int, phrase: str) -> int:
        """The line on which a phrase begins."""
        if not self.lines:
            return self.line + self.text.count("\n", 0, start)
        word = phrase.split(maxsplit=1)[0]
        for offset, line in enumerate(self.lines):
            if re.search(rf"\b{re.escape(word)}\b", line):
                return self.line + offset
        return self.line


def files(paths: Iterable[str] = ()) -> list[str]:
    """The repository's own files, or those of them that are below one of the paths."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *paths]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return sorted(
        {
            path
            for path in listed.stdout.splitlines()
            if not _SKIPPED.match(path) and (ROOT / path).is_file()
        }
    )


def texts(path: str, source: str | None = None) -> Iterator[Text]:
    """The prose of a file; none for a generated one, whose texts are in its sources.

    Args:
        path: The file, relative to the root; its name decides how it is read.
        source: The content, if it is not that of the file.
    """
    name = Path(path)
    known = {".py", ".md", *_MARKS, ".in"} | _HASH_SUFFIXES
    if name.suffix not in known and name.name not in _HASH_NAMES | {"NOTES.txt"}:
        return
    source = (ROOT / path).read_text() if source is None else source
    if _GENERATED.search("\n".join(source.splitlines()[:5])):
        return
    if name.suffix == ".py":
        yield from _python(path, source)
    elif name.suffix == ".md" or name.name == "README.md.in":
        yield Text(path, 1, _markdown(source))
    elif name.name == "NOTES.txt":
        yield Text(path, 1, _TEMPLATE.sub(_blank, source))
    elif name.suffix in _MARKS:
        yield from _line_comments(path, source, _MARKS[name.suffix])
    else:
        yield from _line_comments(path, source, _MARKS.get("".join(name.suffixes[-2:]), "#"))
        for found in _TEMPLATE_COMMENT.finditer(source):
            body = found[1] or found[2] or ""
            yield Text(path, source.count("\n", 0, found.start()) + 1, _inline(body))
        if name.suffix in {".yaml", ".yml"}:
            yield from _yaml_strings(path, source)


def _blank(found: re.Match[str]) -> str:
    """Placeholder for removed code: not a word, with the same number of lines."""
    return "…" + "\n" * found[0].count("\n")


def _inline(text: str) -> str:
    return _LINK_URL.sub(_blank, _INLINE_CODE.sub(_blank, text))


def _markdown(source: str) -> str:
    for pattern in (_FENCE, _HTML_COMMENT):
        source = pattern.sub(_blank, source)
    return _inline(source)


def _python(path: str, source: str) -> Iterator[Text]:
    lines = source.splitlines()
    tree = ast.parse(source)
    docstrings = set()
    for node in ast.walk(tree):
        if name := _name(node):
            yield Text(path, node.lineno, name.replace("_", " "), counted=False)
        if isinstance(node, ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                docstrings.add(first.value)
                yield Text(path, first.lineno, _inline(first.value.value))
    yield from _strings(path, tree, lines, docstrings)
    yield from _python_comments(path, source)


def _name(node: ast.AST) -> str:
    """The name that a node gives to a function, a class, a parameter or a variable, or empty."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return node.name
    if isinstance(node, ast.arg):
        return node.arg
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        return node.id
    if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
        return node.attr
    return ""


def _strings(
    path: str, tree: ast.Module, lines: list[str], docstrings: set[ast.Constant]
) -> Iterator[Text]:
    """Strings that read as a sentence; the values of an f-string become placeholders."""
    within = {
        part for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            value = "".join(
                str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values
            )
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            if node in docstrings or node in within:
                continue
            value = node.value
        else:
            continue
        sentence = _message(value)
        if sentence:
            covered = tuple(lines[node.lineno - 1 : node.end_lineno])
            yield Text(path, node.lineno, sentence, covered)


def _message(value: str) -> str:
    """A string without its lines of code; empty if no sentence is left."""
    if "\n" in value.strip():
        value = "\n".join(line for line in value.splitlines() if not _CODE_LINE.search(line))
    value = _inline(value)
    return value if _SENTENCE.search(value) else ""


def _python_comments(path: str, source: str) -> Iterator[Text]:
    found: list[tuple[int, str]] = []
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            found.append((token.start[0], token.string.lstrip("#! ")))
    yield from _joined(path, found)


def _line_comments(path: str, source: str, mark: str) -> Iterator[Text]:
    pattern = re.compile(rf"(?:^|\s){re.escape(mark)}+\s?(?!!)(.*)$")
    found = [
        (number, match[1])
        for number, line in enumerate(source.splitlines(), 1)
        if (match := pattern.search(line))
    ]
    yield from _joined(path, found)


def _joined(path: str, comments: list[tuple[int, str]]) -> Iterator[Text]:
    """Comments of neighbouring lines as one text, so that phrases are found across lines."""
    block: list[str] = []
    start = 0
    for number, text in comments:
        if block and number != start + len(block):
            yield Text(path, start, _inline("\n".join(block)))
            block = []
        if not block:
            start = number
        block.append(text)
    if block:
        yield Text(path, start, _inline("\n".join(block)))


def _yaml_strings(path: str, source: str) -> Iterator[Text]:
    """Scalars that read as a sentence; a template that is not YAML has comments only."""
    try:
        documents = list(yaml.compose_all(source, Loader=yaml.SafeLoader))
    except yaml.YAMLError:
        return
    lines = source.splitlines()
    waiting = [node for node in documents if node is not None]
    while waiting:
        node = waiting.pop()
        if isinstance(node, yaml.MappingNode):
            waiting += [value for _, value in node.value]
        elif isinstance(node, yaml.SequenceNode):
            waiting += node.value
        elif sentence := _message(_TEMPLATE.sub(_blank, node.value)):
            start, end = node.start_mark.line, node.end_mark.line
            yield Text(path, start + 1, sentence, tuple(lines[start : end + 1]))
