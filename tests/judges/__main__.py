"""python -m tests.judges [NAME ...]

Builds the controllers of other projects that judge the product in `make test-full`. Without a name,
all of them. A controller that is built already is skipped.
"""

import argparse
import sys

from tests.cluster import failures, progress
from tests.judges import controllers


def main() -> int:
    """Builds the chosen controllers; the exit code is 1 if a build failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.judges", description=__doc__)
    known = ", ".join(controllers.CONTROLLERS)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {known}")
    names = parser.parse_args().names or list(controllers.CONTROLLERS)
    unknown = [name for name in names if name not in controllers.CONTROLLERS]
    if unknown:
        parser.error(f"unknown controller {unknown[0]!r}; use one of {known}")
    failed = False
    for name in names:
        try:
            progress.say(f"{name}: {controllers.build(name)}")
        except failures.ClusterError as error:
            progress.say(f"{name}: {error}")
            failed = True
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
