"""Finds avoided words and measures rates."""

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from tests.language import prose, words

_WORD = re.compile(r"[A-Za-z][A-Za-z'’]*")
_PATTERNS = tuple((row, row.regex) for row in words.AVOIDED)


@dataclass(frozen=True, order=True)
class Finding:
    """An avoided word in a text."""

    path: str
    line: int
    phrase: str
    use: str
    reason: str
    context: str

    def __str__(self) -> str:
        return (
            f'{self.path}:{self.line}: "{self.phrase}" → use "{self.use}" '
            f"({self.reason}): {self.context}"
        )


@dataclass
class Count:
    """Counted words of some texts: all of them, and each by itself."""

    total: int = 0
    of: Counter[str] = field(default_factory=Counter)

    def add(self, text: str) -> None:
        """Counts the words of a text."""
        found = [word.lower() for word in _WORD.findall(text)]
        self.total += len(found)
        self.of.update(found)
        self.of["for example"] += sum(
            pair == ("for", "example") for pair in itertools.pairwise(found)
        )

    def rate(self, rate: words.Rate) -> float:
        """Occurrences per 10,000 words."""
        return 10_000 * sum(self.of[word] for word in rate.words) / max(self.total, 1)


def findings(texts: Iterable[prose.Text]) -> Iterator[Finding]:
    """Every avoided word, in the order of the texts."""
    for text in texts:
        for row, pattern in _PATTERNS:
            for found in pattern.finditer(text.text):
                yield Finding(
                    text.path,
                    text.line_of(found.start(), found[0]),
                    " ".join(found[0].split()),
                    row.use,
                    row.reason,
                    _context(text.text, found.start(), found.end()),
                )


def counts(texts: Iterable[prose.Text]) -> dict[str, Count]:
    """The words of each top folder, by its name; files of the root are ".", all are "all"."""
    counted = {"all": Count()}
    for text in texts:
        if text.counted:
            top = text.path.split("/")[0] if "/" in text.path else "."
            counted["all"].add(text.text)
            counted.setdefault(top, Count()).add(text.text)
    return counted


def outside(count: Count) -> list[str]:
    """The rates that are not within their bounds, as sentences."""
    problems = []
    for rate in words.RATES:
        value = count.rate(rate)
        if value < rate.least:
            problems.append(f'"{rate.name}" is {value:.1f}, at least {rate.least:g} is required')
        if rate.most is not None and value > rate.most:
            problems.append(f'"{rate.name}" is {value:.1f}, at most {rate.most:g} is permitted')
    return problems


def _context(text: str, start: int, end: int) -> str:
    around = text[max(0, start - 30) : end + 30]
    return "… " + " ".join(around.split()) + " …"
