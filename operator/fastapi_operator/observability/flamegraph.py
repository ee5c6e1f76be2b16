"""A sampling profile as a flame graph and as a table.

A profile is text with one line per stack, ``outer;inner count``; a frame is ``file:function:line``.
"""

import html
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

WIDTH = 1200
ROW = 17
# From red to yellow.
HUES = 50
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

    @property
    def root(self) -> Frame:
        """All stacks as one tree; its callees are the outermost functions."""
        root = Frame()
        for frames, count in self._stacks:
            _add(root, frames, count)
        return root

    def svg(self, title: str) -> str:
        """The flame graph: the outermost function is at the bottom; the width is the time."""
        root = self.root
        height = _TITLE + graph_height(root)
        shapes = "\n".join(_shape(box, height) for box in boxes(root))
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
            f'viewBox="0 0 {WIDTH} {height}" font-family="monospace" font-size="11">\n'
            f'<rect width="100%" height="100%" fill="#fdfdf8"/>\n'
            f'<text x="8" y="20" font-size="14">{html.escape(title)}</text>\n'
            f"{shapes}\n</svg>\n"
        )


@dataclass(frozen=True)
class Box:
    """A function in the graph.

    Attributes:
        name: The function.
        samples: Its samples, including those of its callees.
        share: Their share of all samples.
        left: The left edge, as a share of the width of the graph.
        depth: Its callers, up to the outermost function.
    """

    name: str
    samples: int
    share: float
    left: float
    depth: int

    @property
    def colour(self) -> str:
        """A warm colour; a function has the same one everywhere."""
        return f"hsl({zlib.crc32(self.name.encode()) % HUES} 80% 65%)"

    @property
    def title(self) -> str:
        """The function and its time, for people."""
        return f"{self.name}: {self.samples} samples, {100 * self.share:.1f} %"

    def top(self, height: float) -> float:
        """The upper edge, in a graph of this height."""
        return height - 4 - ROW * (self.depth + 1)


def boxes(root: Frame) -> Iterator[Box]:
    """Yields the functions that are wide enough to be visible, callers first."""
    return _boxes("all", root, root.samples or 1, 0.0, 0)


def graph_height(root: Frame) -> int:
    """Returns the height of the graph, without a title."""
    return ROW * root.depth + 8


def shown_name(name: str, width: float) -> str:
    """Returns as much of a name as a box has room for; empty for less than three letters."""
    letters = int((width - 6) / _LETTER)
    if letters < 3:
        return ""
    return name if len(name) <= letters else f"{name[: letters - 1]}…"


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


def _boxes(name: str, frame: Frame, all_samples: int, left: float, depth: int) -> Iterator[Box]:
    share = frame.samples / all_samples
    if share * WIDTH < _THIN:
        return
    yield Box(name, frame.samples, share, left, depth)
    for inner, callee in sorted(frame.callees.items()):
        yield from _boxes(inner, callee, all_samples, left, depth + 1)
        left += callee.samples / all_samples


def _shape(box: Box, height: int) -> str:
    left, top, width = box.left * WIDTH, box.top(height), box.share * WIDTH
    name = shown_name(box.name, width)
    text = f'<text x="{left + 3:.1f}" y="{top + 12:.0f}">{html.escape(name)}</text>' if name else ""
    return (
        f"<g><title>{html.escape(box.title)}</title>"
        f'<rect x="{left:.1f}" y="{top:.0f}" width="{max(width - 0.5, _THIN):.1f}" '
        f'height="{ROW - 1}" rx="1" fill="{box.colour}"/>{text}</g>'
    )
