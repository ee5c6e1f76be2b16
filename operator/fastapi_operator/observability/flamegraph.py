"""A sampling profile as a flame graph and as a table.

A profile is text with one line per stack, ``outer;inner count``; a frame is ``file:function:line``.
"""

import html
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

_WIDTH = 1200
_ROW = 17
_TITLE = 34
_LETTER = 6.6
# Narrower frames are not visible; their time still counts in the frame below.
_THIN = 0.4


@dataclass
class Frame:
    """A function at one place in the stacks: its samples, including those of its callees."""

    samples: int = 0
    callees: "dict[str, Frame]" = field(default_factory=dict)

    @property
    def depth(self) -> int:
        """The rows of this frame and its callees."""
        return 1 + max((frame.depth for frame in self.callees.values()), default=0)


@dataclass(frozen=True)
class Line:
    """A line of code.

    Attributes:
        place: File, function and line.
        own: Samples in which it was the innermost frame.
        total: Samples in which it was on the stack.
    """

    place: str
    own: int
    total: int


class Profile:
    """The samples of one process."""

    def __init__(self, text: str) -> None:
        """Parses a profile.

        Raises:
            ValueError: The text is not a profile.
        """
        self._stacks = [_stack(line) for line in text.splitlines() if line.strip()]
        self.samples = sum(count for _, count in self._stacks)

    def top(self, number: int = 15) -> tuple[Line, ...]:
        """The lines with the most samples of their own."""
        own: Counter[str] = Counter()
        total: dict[str, int] = defaultdict(int)
        for frames, count in self._stacks:
            own[frames[-1]] += count
            for place in set(frames):
                total[place] += count
        return tuple(Line(place, count, total[place]) for place, count in own.most_common(number))

    def svg(self, title: str) -> str:
        """The flame graph: the outermost function is at the bottom; the width is the time."""
        root = Frame()
        for frames, count in self._stacks:
            _add(root, frames, count)
        height = _TITLE + _ROW * root.depth + 8
        shapes = "\n".join(_shapes("all", root, root.samples or 1, 0.0, height - _ROW - 4))
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" '
            f'viewBox="0 0 {_WIDTH} {height}" font-family="monospace" font-size="11">\n'
            f'<rect width="100%" height="100%" fill="#fdfdf8"/>\n'
            f'<text x="8" y="20" font-size="14">{html.escape(title)}</text>\n'
            f"{shapes}\n</svg>\n"
        )


def _stack(line: str) -> tuple[tuple[str, ...], int]:
    stack, _, count = line.rpartition(" ")
    if not stack or not count.isdigit():
        raise ValueError(f"not a line of a profile: {line[:60]!r}")
    return tuple(stack.split(";")), int(count)


def _add(root: Frame, frames: tuple[str, ...], count: int) -> None:
    root.samples += count
    for place in frames:
        # A function is one frame, whichever of its lines was executing.
        function = place.rpartition(":")[0] or place
        root = root.callees.setdefault(function, Frame())
        root.samples += count


def _shapes(name: str, frame: Frame, all_samples: int, left: float, top: float) -> Iterator[str]:
    width = _WIDTH * frame.samples / all_samples
    if width < _THIN:
        return
    share = 100 * frame.samples / all_samples
    letters = int((width - 6) / _LETTER)
    shown = name if len(name) <= letters else f"{name[: letters - 1]}…"
    # A function has the same colour everywhere.
    hue = zlib.crc32(name.encode()) % 50
    yield (
        f"<g><title>{html.escape(name)}: {frame.samples} samples, {share:.1f} %</title>"
        f'<rect x="{left:.1f}" y="{top:.0f}" width="{max(width - 0.5, _THIN):.1f}" '
        f'height="{_ROW - 1}" rx="1" fill="hsl({hue} 80% 65%)"/>'
        + (
            f'<text x="{left + 3:.1f}" y="{top + 12:.0f}">{html.escape(shown)}</text>'
            if letters > 2
            else ""
        )
        + "</g>"
    )
    for inner, callee in sorted(frame.callees.items()):
        yield from _shapes(inner, callee, all_samples, left, top - _ROW)
        left += _WIDTH * callee.samples / all_samples
