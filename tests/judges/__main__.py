"""python -m tests.judges [NAME ...]

Builds the programs of other projects that judge the product in `make test-full`. Without a name,
all of them. A program that is built already is skipped.
"""

import argparse
import functools
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.cluster import failures, progress
from tests.judges import controllers, panels

BUILDS: Mapping[str, Callable[[], Path]] = {
    **{name: functools.partial(controllers.build, name) for name in controllers.CONTROLLERS},
    panels.NAME: panels.build,
}


def main() -> int:
    """Builds the chosen programs; the exit code is 1 if a build failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.judges", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(BUILDS)}")
    names = parser.parse_args().names or list(BUILDS)
    unknown = [name for name in names if name not in BUILDS]
    if unknown:
        parser.error(f"unknown name {unknown[0]!r}; use one of {', '.join(BUILDS)}")
    failed = False
    for name in names:
        try:
            progress.say(f"{name}: {BUILDS[name]()}")
        except failures.ClusterError as error:
            progress.say(f"{name}: {error}")
            failed = True
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
