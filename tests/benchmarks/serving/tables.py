"""Prints measurements as tables with a verdict in each row."""

from collections.abc import Iterator, Sequence

from tests.benchmarks.serving import load, ratios
from tests.benchmarks.serving.cells import Cell

THROUGHPUT_BAR = 0.95
P99_BAR = 1.25
NOISE_BAR = 0.05


def text(cells: Sequence[Cell], *, article: str, facts: str, minutes: float) -> str:
    """All tables.

    Args:
        cells: The measurements.
        article: The variant of the article that ran in the rounds.
        facts: The machine, in one line.
        minutes: The duration.
    """
    rounds = len(cells[0].rounds["tuned"])
    return "\n".join(
        (
            f"{facts}; {load.CONNECTIONS} connections in a closed loop on the same cores; "
            f"{rounds} interleaved rounds; {minutes:.0f} minutes. Ratios are geometric means with "
            "their 95 % interval.",
            "",
            *_against_winner(cells),
            "",
            *_against_article(cells, article),
            "",
            *_screening(cells),
        )
    )


def _against_winner(cells: Sequence[Cell]) -> Iterator[str]:
    yield "| CPU limit | workload | grid's winner | throughput | p99 | A/A | verdict |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for cell in cells:
        throughput = _ratio(cell, "tuned", "winner")
        p99 = _p99_ratio(cell, "tuned", "winner")
        noise = _ratio(cell, "again", "tuned")
        yield (
            f"| {cell.limit} | {cell.workload} | {cell.winner} | {throughput} | {p99} | {noise} | "
            f"{verdict(throughput, p99, noise)} |"
        )


def verdict(throughput: ratios.Ratio, p99: ratios.Ratio, noise: ratios.Ratio) -> str:
    """Whether the tuned pod is as good as the best variant of the grid."""
    if noise.half_width > NOISE_BAR:
        return "inconclusive: the A/A spread exceeds 5 %"
    if throughput.high >= THROUGHPUT_BAR and p99.low <= P99_BAR:
        return "met"
    return "not met"


def _against_article(cells: Sequence[Cell], article: str) -> Iterator[str]:
    compared = f"tuned relative to {article}: throughput"
    yield f"| CPU limit | workload | {compared} | p99 | memory | ready |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for cell in cells:
        tuned, other = cell.screened["tuned"], cell.screened[article]
        yield (
            f"| {cell.limit} | {cell.workload} | {_ratio(cell, 'tuned', article)} | "
            f"{_p99_ratio(cell, 'tuned', article)} | "
            f"{tuned.memory_bytes / 2**20:.0f} of {other.memory_bytes / 2**20:.0f} MiB, "
            f"{tuned.memory_bytes / other.memory_bytes:.2f} | "
            f"{tuned.ready_seconds:.1f} s instead of {other.ready_seconds:.1f} s, "
            f"{other.ready_seconds / tuned.ready_seconds:.1f} × as fast |"
        )


def _screening(cells: Sequence[Cell]) -> Iterator[str]:
    yield "One run of each variant:"
    yield ""
    yield (
        "| CPU limit | workload | variant | requests/s | p50 ms | p99 ms | errors | throttled "
        "| MiB | ready s |"
    )
    yield "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    for cell in cells:
        for name, run in cell.screened.items():
            seen = run.seen
            yield (
                f"| {cell.limit} | {cell.workload} | {name} | {seen.requests_per_second:.0f} | "
                f"{seen.p50_milliseconds:.0f} | {seen.p99_milliseconds:.0f} | {seen.errors} | "
                f"{run.throttled_percent:.0f} % | {run.memory_bytes / 2**20:.0f} | "
                f"{run.ready_seconds:.1f} |"
            )


def _ratio(cell: Cell, one: str, other: str) -> ratios.Ratio:
    return ratios.ratio(
        [seen.requests_per_second for seen in cell.rounds[one]],
        [seen.requests_per_second for seen in cell.rounds[other]],
    )


def _p99_ratio(cell: Cell, one: str, other: str) -> ratios.Ratio:
    return ratios.ratio(
        [seen.p99_milliseconds for seen in cell.rounds[one]],
        [seen.p99_milliseconds for seen in cell.rounds[other]],
    )
