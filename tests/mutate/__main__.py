"""``make mutate``: removes each builder and line in turn, and prints those that no test misses.

Results are kept until the code changes, so a run that was stopped continues from there.
"""

import argparse
import hashlib
import json
import sys
import time
from pathlib import Path

from tests.benchmarks import document
from tests.cluster import places
from tests.mutate.judge import Judge
from tests.mutate.mutations import Mutation, mutations

_ROOT = Path(__file__).resolve().parents[2]
_SOURCES = ("operator/fastapi_operator", "tests/golden", "tests/mutate")
_PROGRESS_SECONDS = 10.0


def main() -> int:
    """Judges the remaining mutations; exit status 1 if no test fails without one of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="names that contain this")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="end after these")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    options = parser.parse_args()
    chosen = [item for item in mutations() if options.only in item.name]
    began = time.monotonic()
    found = _judged(chosen, until=began + options.seconds)
    missed = [item.name for item in chosen if found.get(item.name) is False]
    open_ = [item.name for item in chosen if item.name not in found]
    for name in missed:
        print(f"no test misses {name}")
    print(f"{len(chosen)} removed, {len(missed)} missed by no test, {len(open_)} not judged yet")
    if options.write and not open_:
        _write(chosen, missed)
    return 1 if missed or open_ else 0


def _judged(chosen: list[Mutation], *, until: float) -> dict[str, bool]:
    """Returns the failing tests of each mutation, as far as time permitted."""
    state = places.state() / "mutate" / f"{_fingerprint()}.json"
    found: dict[str, bool] = json.loads(state.read_text()) if state.exists() else {}
    judge, reported = Judge(), time.monotonic()
    try:
        for number, mutation in enumerate(chosen, start=1):
            if mutation.name in found:
                continue
            if time.monotonic() > until:
                break
            found[mutation.name] = judge.notices(mutation)
            if time.monotonic() - reported > _PROGRESS_SECONDS:
                reported = time.monotonic()
                print(f"{number} of {len(chosen)}: {mutation.name}", flush=True)
    finally:
        state.parent.mkdir(parents=True, exist_ok=True)
        state.write_text(json.dumps(found))
    return found


def _fingerprint() -> str:
    mark = hashlib.sha256()
    for folder in _SOURCES:
        for path in sorted((_ROOT / folder).rglob("*")):
            if path.is_file() and path.suffix != ".pyc":
                mark.update(str(path.relative_to(_ROOT)).encode() + path.read_bytes())
    return mark.hexdigest()[:16]


def _write(chosen: list[Mutation], missed: list[str]) -> None:
    rows = []
    for kind in ("builder", "fragment", "template"):
        names = [item.name for item in chosen if item.name.startswith(kind)]
        lost = [name for name in names if name in missed]
        rows.append(f"| {kind} | {len(names)} | {len(names) - len(lost)} |")
    document.write(
        "mutate",
        "\n".join(["| removed | number | noticed by a test |", "| --- | --- | --- |", *rows]),
    )


if __name__ == "__main__":
    sys.exit(main())
