"""Projects as people write them: small layouts made after real ones, each in one text file.

A line ``-- PATH --`` begins a file of the project. After ``-- expected: NAME --`` is what ``init``
must print or write: ``service`` (the body), ``notes``, ``Dockerfile`` or ``error``. If
``UPDATE_LAYOUTS=1`` is set, the test of the layouts writes these parts.
"""

import re
from dataclasses import dataclass
from pathlib import Path

_PUBLIC_HOST = "pypi"
# Stands for itself in layouts, and is the address of the public index in the files of a project.
PUBLIC_INDEX = f"https://{_PUBLIC_HOST}.org/simple"
FOLDER = Path(__file__).parent / "layouts"
_HEADER = re.compile(r"^-- (expected: )?(.+?) --$", re.MULTILINE)


@dataclass(frozen=True)
class Layout:
    """One project.

    Attributes:
        name: Its name.
        comment: What it shows.
        files: Its files by path.
        expected: What ``init`` must print or write, by name.
    """

    name: str
    comment: str
    files: dict[str, str]
    expected: dict[str, str]

    def write(self, parent: Path) -> Path:
        """Writes the project into a directory of its name, and returns that."""
        root = parent / self.name
        for name, text in self.files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text.replace("PUBLIC_INDEX", PUBLIC_INDEX))
        return root

    def with_expected(self, expected: dict[str, str]) -> str:
        """Returns the text of the layout with other expectations."""
        parts = [f"-- {name} --\n{text}" for name, text in self.files.items()]
        parts += [f"-- expected: {name} --\n{text}" for name, text in expected.items()]
        return f"{self.comment.strip()}\n\n{''.join(parts)}"


def layout(name: str) -> Layout:
    """Reads a layout."""
    text = (FOLDER / f"{name}.txt").read_text()
    headers = list(_HEADER.finditer(text))
    files: dict[str, str] = {}
    expected: dict[str, str] = {}
    for header, following in zip(headers, [*headers[1:], None], strict=True):
        end = following.start() if following else len(text)
        part = text[header.end() + 1 : end]
        (expected if header.group(1) else files)[header.group(2)] = part
    return Layout(name, text[: headers[0].start()], files, expected)


def names() -> list[str]:
    """Returns the names of all layouts."""
    return sorted(path.stem for path in FOLDER.glob("*.txt"))
