"""Grafana's own types of dashboards, from its SDK for a release.

Each release runs in its own process, because all SDKs have the same module names.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.cluster import execution, places
from tests.cluster.made_once import made_once

# The release of Grafana -> the SDK generated from its schema. `next` was the development version of
# January 2026, after 12.3, because there is no SDK for the releases 12.
RELEASES = {"10.4": "1769699796!10.4.0", "11.5": "1769699452!11.5.0", "next": "1769699241"}
_READ = """
import json, sys
from grafana_foundation_sdk.cog import encoder, plugins
from grafana_foundation_sdk.models import dashboard
plugins.register_default_plugins()
read = dashboard.Dashboard.from_json(json.load(sys.stdin))
print(encoder.JSONEncoder().encode(read))
"""


def read(model: dict[str, Any], release: str) -> dict[str, Any]:
    """Returns the fields of a dashboard that the types of a Grafana release have.

    Raises:
        ClusterError: The dashboard cannot be read.
    """
    printed = execution.output_of(
        [sys.executable, "-c", _READ],
        stdin=json.dumps(model),
        environment={"PYTHONPATH": str(_sdk(RELEASES[release]))},
    )
    found: dict[str, Any] = json.loads(printed)
    return found


def _sdk(version: str) -> Path:
    def install(folder: Path) -> Path:
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
        command += ["--disable-pip-version-check", "--only-binary=:all:"]
        command += ["--target", f"{folder}/sdk", f"grafana-foundation-sdk=={version}"]
        subprocess.run(command, check=True, timeout=120)
        return folder / "sdk"

    installed = places.cache() / "grafana" / version.replace("!", "-")
    return made_once(installed, install, lock="grafana", what="Grafana's SDK")
