"""Run the command line of the local node."""

import sys

from tests.cluster import commands

sys.exit(commands.main())
