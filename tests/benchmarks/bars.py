"""The bars of the tables in docs/benchmarks.md, and the verdict on each row.

A bar is declared once, here. The command that writes a table gets its verdicts from here, and a
test in CI judges the committed rows again, so that a table cannot contradict its figures.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

MET, NOT_MET = "met", "not met"
# A command that compares noisy figures may also write "inconclusive: …".
INCONCLUSIVE = "inconclusive"
VERDICT = "verdict"
# The most that the newest change of the measured code may be after its measurement.
MAX_AGE_DAYS = 60

Row = Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Bar:
    """The bar of one table.

    Attributes:
        heading: A heading that identifies the table within its section.
        text: The bar in words, as a condition.
        judge: Returns the verdict on a row, or whether it meets the bar; None if this row has no
            bar. A row that cannot be read raises ValueError.
        code: The folders whose changes make the figures old.
        named_by: The number of columns that name a row.
    """

    heading: str
    text: str
    judge: Callable[[Row], str | bool | None]
    code: Sequence[str] = ("operator", "runtime")
    named_by: int = 1


@dataclass(frozen=True)
class Table:
    """A table of a section, with its bar.

    Attributes:
        bar: Its bar.
        rows: Its rows by their names; each is by heading.
    """

    bar: Bar
    rows: Sequence[tuple[str, Row]]


def verdict(bar: Bar, row: Row) -> str:
    """Returns the verdict on a row; empty if the row has no bar."""
    found = bar.judge(row)
    if isinstance(found, str):
        return found
    return "" if found is None else MET if found else NOT_MET


def tables(section: str, text: str) -> Iterator[Table]:
    """Yields the tables of a section that have a bar."""
    for headings, rows in _tables(text):
        for bar in BARS.get(section, ()):
            if bar.heading in headings:
                yield Table(
                    bar, [(", ".join([*row.values()][: bar.named_by]), row) for row in rows]
                )


def with_verdicts(section: str, text: str) -> str:
    """Returns a section's text, in which each table with a bar has the verdict on each row."""
    lines: list[str] = []
    bar: Bar | None = None
    headings: list[str] = []
    for line in text.splitlines():
        cells = _cells(line)
        if not cells:
            bar, headings = None, []
        elif not headings:
            headings = [cell for cell in cells if cell != VERDICT]
            bar = next((item for item in BARS.get(section, ()) if item.heading in cells), None)
            cells = [*headings, VERDICT]
        elif _is_rule(line):
            cells = ["---"] * (len(headings) + 1)
        elif bar:
            # A row that is kept from an earlier run has a verdict already.
            row = dict(zip([*headings, VERDICT], cells, strict=False))
            cells = [*cells[: len(headings)], verdict(bar, row)]
        lines.append(f"| {' | '.join(cells)} |" if bar else line)
    return "\n".join(lines)


def not_met(sections: Mapping[str, str]) -> str:
    """Returns a list of the rows whose bar is not met, or that are inconclusive."""
    lines = [
        f"- {section}, {name}: {row[VERDICT]} ({table.bar.text})"
        for section, text in sections.items()
        for table in tables(section, text)
        for name, row in table.rows
        if row[VERDICT].startswith((NOT_MET, INCONCLUSIVE))
    ]
    return "\n".join(lines) or "All bars are met."


def rows(text: str, headings: Sequence[str]) -> list[list[str]]:
    """Returns the rows of the tables with these headings, without their verdicts."""
    return [
        [row[heading] for heading in headings]
        for found, all_rows in _tables(text)
        if [one for one in found if one != VERDICT] == [*headings]
        for row in all_rows
    ]


def _tables(text: str) -> Iterator[tuple[list[str], list[Row]]]:
    headings: list[str] = []
    rows: list[Row] = []
    for line in [*text.splitlines(), ""]:
        cells = _cells(line)
        if not cells and headings:
            yield headings, rows
            headings, rows = [], []
        elif cells and not headings:
            headings = cells
        elif cells and not _is_rule(line):
            rows.append(dict(zip(headings, cells, strict=True)))


def _cells(line: str) -> list[str]:
    if not line.startswith("|"):
        return []
    return [cell.strip() for cell in line.strip().removeprefix("|").removesuffix("|").split(" |")]


def _is_rule(line: str) -> bool:
    return set(line) <= set("|- :")


def _number(text: str, pattern: str) -> float:
    """Returns the number that a pattern finds.

    Raises:
        ValueError: The text has none.
    """
    found = re.search(pattern, text)
    if found is None:
        raise ValueError(f"no {pattern!r} in {text!r}")
    return float(found[1])


# The rows of the operator's table: the beginning of a name, and the numbers that are judged.
_OPERATOR: Mapping[str, Sequence[tuple[str, float, float]]] = {
    "100 services with every part, fresh": [(r"([\d.]+) objects/s", 300, float("inf"))],
    "1000 minimal services, fresh": [(r"([\d.]+) objects/s", 250, float("inf"))],
    "… requests per service": [(r"objects \+ ([\d.]+)", 0, 2)],
    "… peak of resident memory": [(r"([\d.]+) MiB", 0, 160)],
    "… CPU per service, relative to 100 services": [(r"([\d.]+) times", 0, 1.2)],
    "these services at rest": [
        (r"([\d.]+) writes", 0, 0),
        (r"([\d.]+) requests per service", 0, 0.1),
        (r"([\d.]+) per minute", 0, 15),
    ],
    "one image change": [(r"p99 ([\d.]+) ms", 0, 300), (r"([\d.]+) requests", 0, 3)],
    "200 manual edits": [(r"p99 ([\d.]+) ms", 0, 2000)],
    "operator restart": [
        (r"([\d.]+) writes", 0, 0),
        (r"ready in ([\d.]+) s", 0, 20),
        (r"([\d.]+) requests for services", 0, 1000),
    ],
    "measuring 1000 services": [(r"([\d.]+) % more", float("-inf"), 5)],
    "… resident memory": [(r"([\d.-]+) MiB more", float("-inf"), 64)],
    "… pages read": [(r"([\d.]+) per service in", 0.9, 1.1)],
    "… writes": [(r"([\d.]+) per service and hour", 0, 1)],
    "… largest measurements": [(r"([\d.]+) bytes", 1, 16 * 1024)],
}


def _operator(row: Row) -> bool | None:
    for name, limits in _OPERATOR.items():
        if row["work"].startswith(name):
            return all(
                least <= _number(row["measured"], pattern) <= most
                for pattern, least, most in limits
            )
    if row["target"]:
        raise ValueError(f"the bar of {row['work']!r} is not declared")
    return None


def _crowd(row: Row) -> bool:
    pooled, backends = row["database connections, `SHOW POOLS`"], row["`pg_stat_activity`"]
    return (
        int(row["connections open"]) >= 2000
        and 0 < max(int(pooled), int(backends)) <= 40
        and "200: " in row["responses"]
    )


# Numbers that are worse, or no better. The trials of all other services are of better ones.
_WORSE_TRIALS = ("threads-in-bursts", "threads-without-need")


def _trial(row: Row) -> bool:
    """The judge is right, no request is lost for a trial, and a bad one is not felt by all."""
    verdict = row["verdict of the operator"]
    if verdict != ("Rejected" if row["service"] in _WORSE_TRIALS else "Accepted"):
        return False
    lost_before, lost, lost_after = map(
        int, row["lost before, during, after the trial"].split(", ")
    )
    _, slow, slow_after = map(float, row["p99 of all clients in ms"].split(", "))
    is_felt = verdict == "Rejected" and slow > 1.2 * slow_after
    return not lost_after and (not lost or bool(lost_before)) and not is_felt


def _runtime(row: Row) -> str | bool | None:
    share = row["added, of the peers'"]
    if not share:
        return None
    most, times = 1.12, row["times bare: median (quartiles)"]
    if float(share) <= 0.5 and _number(times, r"^([\d.]+)") <= most:
        return True
    if _number(times, r"\(([\d.]+)") <= most:
        return f"{INCONCLUSIVE}: {most} is within the quartiles, or below"
    return False


def _instructions(row: Row) -> str | bool | None:
    share = row["added, of the peers'"]
    if not share:
        return None
    if _number(row["runs differ by"], r"([\d.]+) %") > 1:
        return f"{INCONCLUSIVE}: the runs differ by more than 1 %"
    return float(share) <= 0.5 and float(row["times bare"]) <= 1.12


# The most CPU of a layer, relative to a small request.
_LAYERS = {"the shop's cached item": 4.0, "nginx with its log": 0.25}


def _layer(row: Row) -> str | bool | None:
    found = (most for name, most in _LAYERS.items() if row["layer"].startswith(name))
    most = next(found, None)
    if most is None:
        return None
    times, counted = row["of a small request: median (quartiles)"], row["instructions, of it"]
    if counted and float(counted) > most:
        return False
    if _number(times, r"^([\d.]+)") <= most:
        return True
    if _number(times, r"\(([\d.]+)") <= most:
        return f"{INCONCLUSIVE}: {most:g} is within the quartiles, or below"
    return False


def _queries(row: Row) -> bool:
    explained = row["without, and why"].count("; ") + 1 if row["without, and why"] else 0
    total = int(row["queries of panels, annotations, variables and rules"])
    return int(row["with data"]) + explained >= total


def _overload(row: Row) -> str | bool:
    """Judges a work at ten times its capacity; an unmodified app has a lower bar."""
    if row["void"]:
        return f"{INCONCLUSIVE}: {row['void']}"
    least = 80 if "unmodified" in row["work, capacity"] else 90
    balance = row["balance"]
    return (
        _number(row["of the best"], r"([\d.]+) %") >= least
        and _number(row["p99 relative to 0.8 times"], r"([\d.]+)") <= 3
        and (not balance or _number(balance, r"([\d.]+) %") <= 10)
    )


def _void(row: Row) -> str:
    """Returns why a row does not count; empty if it does."""
    if "void" in row["on time"]:
        return f"{INCONCLUSIVE}: the generator was late"
    if "void" in row.get("busy before", ""):
        return f"{INCONCLUSIVE}: the machine was busy"
    return ""


def _rejected(row: Row) -> str | bool:
    """Judges what is rejected at one load, and what happens to the pods."""
    if void := _void(row):
        return void
    by_app = row["of the rejected, by the app"]
    return (
        float(row["p99 rejected, ms"]) <= 50
        and float(row["proxy, µs/request"]) <= _PROXY_MICROSECONDS.get(row["load"], float("inf"))
        # Few are rejected at a lower load, and each counts.
        and (not by_app or float(row["load"]) < 2 or _number(by_app, r"([\d.]+) %") <= 1)
        and float(row["normal after, s"]) <= 5
        and all(row[name] == "0" for name in ("restarts", "unready", "not Ready"))
    )


def _during(row: Row) -> str | bool:
    """Judges changes, crowds and streams: requests are served or rejected, and none is lost."""
    if row["requests"] == "0":
        return f"{INCONCLUSIVE}: not measured"
    if void := _void(row):
        return void
    share = _number(row["served/s"], r"([\d.]+) %")
    least = {"streams": 75, "priority": 95, "clients": 90}
    return row["lost"] == "0" and all(
        share >= bar for word, bar in least.items() if word in row["during"]
    )


def _rival(row: Row) -> str | bool | None:
    """Judges this operator at ten times its capacity; the rows of others are for comparison."""
    if not row["server"].startswith("this operator") or row["load"] != "10":
        return None
    if not row["offered/s"]:
        return f"{INCONCLUSIVE}: not measured"
    if void := _void(row):
        return void
    return _number(row["of its own best"], r"([\d.]+) %") >= 90


def _judge(row: Row) -> bool:
    """Judges simulated canaries by the share that was aborted; one that waits is not released."""
    simulated, aborted = int(row["simulated"]), _number(row["aborted"], r"^(\d+)")
    if row["new version"].startswith("as the old one"):
        return 100 * (aborted + int(row["never decided"])) <= simulated
    return 100 * aborted >= 95 * simulated


def _canary(row: Row) -> str | bool:
    """Judges a rollout with a canary: nothing is lost but what the canary itself failed."""
    judged = row["rollout"] in ("good image", "20 % errors")
    if judged and float(row["requests/s"]) < 200:
        return f"{INCONCLUSIVE}: at {row['requests/s']} requests/s"
    most = row["most database connections"]
    within = not most or int(most) <= int(row["their budget"])
    held = row["lost"] == row["writes twice or missing"] == "0" and within
    if row["rollout"] == "good image":
        return held and int(row["requests"]) >= 20_000
    if row["rollout"] == "20 % errors":
        share = _number(row["its share of five minutes' requests"], r"([\d.]+) %")
        return (
            held and float(row["s from its first failure to its last request"]) <= 30 and share <= 1
        )
    return held


def _divided(row: Row) -> bool:
    """Judges a canary that a Gateway or Caddy divides, by the figures of its clients."""
    if row["lost"] != "0":
        return False
    if row["new version"] == "good image":
        return row["failed by it"] == "0"
    return float(row["s from its first failure to its last request"]) <= 60


def _worse(row: Row) -> bool:
    """Judges canaries on a node: a worse one is always aborted, and one as the old one never."""
    right = "released" if row["new version"] == "as the old one" else "aborted"
    return int(row[right]) == int(row["runs"]) >= 3


# Only at this load nearly all requests are rejected, so that the time of all is that of these.
_PROXY_MICROSECONDS = {"10": 50.0}
BARS: Mapping[str, Sequence[Bar]] = {
    "diagnosis": [
        Bar(
            heading="first diagnosis",
            text="diagnosis, alert and runbook as expected",
            judge=lambda row: not any("**" in cell for cell in row.values()),
        )
    ],
    "serving": [
        Bar(
            heading="A/A",
            text="throughput at least 0.95 and p99 at most 1.25 times that of the grid's winner",
            # The command judges: it has the intervals of the ratios.
            judge=lambda row: row[VERDICT],
            code=("operator/fastapi_operator/tuning", "runtime"),
            named_by=2,
        )
    ],
    "overload": [
        Bar(
            heading="of the best",
            text="at 10 times the capacity 90 % of the best goodput (unmodified app 80 %), p99 at "
            "most 3 times that at 0.8 times, pods within 10 %",
            judge=_overload,
        ),
        Bar(
            heading="p99 rejected, ms",
            text="rejected within 50 ms, for 50 µs of the proxy's CPU, at most 1 % by the app; "
            "normal within 5 s; no restart, no unready pod",
            judge=_rejected,
            named_by=2,
        ),
        Bar(
            heading="during",
            text="no request lost but those that are rejected; 2,000 clients at least 90 % of the "
            "best goodput, with idle streams at least 75 % at 0.8 times, with priority 95 % of the "
            "offered",
            judge=_during,
        ),
    ],
    "rivals": [
        Bar(
            heading="of its own best",
            text="at 10 times the capacity, this operator serves at least 90 % of its best goodput",
            judge=_rival,
            named_by=3,
        )
    ],
    "runtime instructions": [
        Bar(
            heading="instructions a request, thousands",
            text="at most 1.12 times bare uvicorn, and at most half of what the peers add",
            judge=_instructions,
            code=("runtime",),
        )
    ],
    "runtime": [
        Bar(
            heading="times bare: median (quartiles)",
            text="at most 1.12 times bare uvicorn, and at most half of what the peers add",
            judge=_runtime,
            code=("runtime",),
        )
    ],
    "layers": [
        Bar(
            heading="of a small request: median (quartiles)",
            text="the shop's cached item at most 4 times a small request, nginx with its log "
            "and counts at most a quarter of one",
            judge=_layer,
            code=("runtime", "sample-app/shop", "operator/fastapi_operator/templates"),
        )
    ],
    "operator": [
        Bar(
            heading="measured",
            text="the target of the row",
            judge=_operator,
            code=("operator",),
        )
    ],
    "observing": [
        Bar(
            heading="measured",
            text="the target of the row",
            judge=_operator,
            code=("operator/fastapi_operator/observation", "operator/fastapi_operator/reconcile"),
        )
    ],
    "operator-faults": [
        Bar(
            heading="guarantees",
            text="all guarantees held",
            judge=lambda row: row["guarantees"] == "all held",
            code=("operator/fastapi_operator/reconcile", "operator/fastapi_operator/cluster"),
            named_by=2,
        )
    ],
    "resilience": [
        Bar(
            heading="change",
            text="0 of at least 100,000 requests lost, each write stored once",
            judge=lambda row: (
                row["lost"] == row["writes twice or missing"] == "0"
                and int(row["requests"]) >= 100_000
            ),
        ),
        Bar(
            heading="clients",
            text="all clients connected, at most 40 database connections, some responses are 200",
            judge=_crowd,
        ),
    ],
    "prometheus-totals": [
        Bar(
            heading="difference",
            text="at most 0.1 % difference",
            judge=lambda row: float(row["difference"].removesuffix("%")) <= 0.1,
        )
    ],
    "prometheus-queries": [
        Bar(
            heading="with data",
            text="each query has data, or a reason why not",
            judge=_queries,
            code=("operator/fastapi_operator/observability", "runtime"),
        )
    ],
    "operator-trouble": [
        Bar(
            heading="trouble",
            text="reported after at most 15 s",
            judge=lambda row: _number(row["reported after"], r"([\d.]+) s") <= 15,
            code=("operator/fastapi_operator/reconcile",),
        )
    ],
    "explain": [
        Bar(
            heading="sample",
            text="a plan at most 2 ms, `explain` at most 300 ms",
            judge=lambda row: (
                _number(row["a plan, ms: median (quartiles, minimum)"], r"^([\d.]+)") <= 2
                and _number(row["`explain`, ms"], r"^([\d.]+)") <= 300
            ),
            code=("operator/fastapi_operator/tuning", "operator/fastapi_operator/api"),
        )
    ],
    "mutate": [
        Bar(
            heading="removed",
            text="each is noticed by a test",
            judge=lambda row: row["number"] == row["noticed by a test"],
            code=("operator/fastapi_operator/resources", "operator/fastapi_operator/templates"),
        )
    ],
    "cloudnativepg": [
        Bar(
            heading="lost rows",
            text="0 acknowledged rows lost",
            judge=lambda row: row["lost rows"] == "0" and int(row["acknowledged rows"]) > 0,
            code=("operator/fastapi_operator/resources",),
        )
    ],
    "trials of numbers": [
        Bar(
            heading="lost before, during, after the trial",
            text="worse numbers rejected, others accepted; no request lost, except by the numbers "
            "before it; if it is rejected, p99 of all clients at most 1.2 times that after it",
            judge=_trial,
            code=("operator/fastapi_operator/judge", "operator/fastapi_operator/reconcile"),
            named_by=3,
        )
    ],
    "take over": [
        Bar(heading="lost", text="0 requests lost", judge=lambda row: row["lost"] == "0")
    ],
    "canary": [
        Bar(
            heading="served by the canary",
            text="0 requests lost, a good image of at least 20,000; 20 % errors end within 30 s, "
            "and 1 % of the requests of five minutes; connections within their budget",
            judge=_canary,
            code=("operator/fastapi_operator/judge", "operator/fastapi_operator/reconcile"),
        )
    ],
    "canary dividers": [
        Bar(
            heading="divided by",
            text="0 requests lost, 20 % errors end within 60 s, a good image fails none",
            judge=_divided,
            code=("operator/fastapi_operator/judge", "operator/fastapi_operator/reconcile"),
            named_by=2,
        )
    ],
    "worse versions": [
        Bar(
            heading="released",
            text="at least 3 runs; each worse version is aborted, one as the old one is released",
            judge=_worse,
            code=("operator/fastapi_operator/judge", "operator/fastapi_operator/reconcile"),
        )
    ],
    "judge": [
        Bar(
            heading="aborted",
            text="at most 1 % of the versions that are as the old one are aborted or never "
            "decided, at least 95 % of the others are aborted",
            judge=_judge,
            code=("operator/fastapi_operator/judge",),
        )
    ],
}
# These sections compare figures that no promise depends on.
WITHOUT_BAR = frozenset({"techniques", "faults", "start", "rival"})
