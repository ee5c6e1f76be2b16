"""``python3 -m tests.demo up|down``: runs before any virtual environment exists."""

import argparse
import sys

from tests import kubectl
from tests.cluster import failures
from tests.demo import story, targets


def main() -> int:
    """Runs one command; errors are one line."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("command", choices=["up", "down"])
    parser.add_argument("--context", help="a context of your kubeconfig (default: a local node)")
    parser.add_argument("--registry", help="registry for images, if the cluster is your own")
    options = parser.parse_args()
    target = targets.choose(options.context, options.registry)
    try:
        (story.run if options.command == "up" else story.end)(target)
    except (failures.ClusterError, kubectl.KubectlError, AssertionError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
