"""Lists avoided words in prose, each with its replacement.

python -m tests.language [PATH ...] [--rates]
"""

import argparse
import sys

from tests.language import check, prose, words


def main() -> int:
    """Prints the findings; the exit code is 1 if there are any."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("paths", nargs="*", metavar="PATH", help="files or folders; default: all")
    parser.add_argument("--rates", action="store_true", help="show rates per 10,000 words as well")
    options = parser.parse_args()
    texts = [text for path in prose.files(options.paths) for text in prose.texts(path)]
    found = sorted(set(check.findings(texts)))
    for finding in found:
        print(finding)
    print(f"{len(found)} avoided words", file=sys.stderr)
    if options.rates:
        _print_rates(check.counts(texts))
    return 1 if found else 0


def _print_rates(counts: dict[str, check.Count]) -> None:
    bounds = [
        f"≥{rate.least:g}" if rate.least else f"≤{rate.most:g}" if rate.most is not None else ""
        for rate in words.RATES
    ]
    print("\nper 10,000 words")
    print(f"{'':14}{'words':>9}" + "".join(f"{rate.name:>13}" for rate in words.RATES))
    print(f"{'permitted':14}{'':>9}" + "".join(f"{bound:>13}" for bound in bounds))
    for name, count in sorted(counts.items(), key=lambda item: -item[1].total):
        values = "".join(f"{count.rate(rate):13.1f}" for rate in words.RATES)
        print(f"{name:14}{count.total:9}{values}")


if __name__ == "__main__":
    sys.exit(main())
