"""Grafana's own types of dashboards, as its SDK of a release has them.

One process a release: all of them have the same module names.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.cluster import execution, locks, places

# The release of Grafana -> the SDK generated from its schema. `next` is what Grafana was to become
# in January 2026, after 12.3: of the releases 12 there is no SDK of its own.
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
    """What a release of Grafana understands of a dashboard: the fields that its types have.

    Raises:
        ClusterError: It cannot be read at all.
    """
    printed = execution.output_of(
        [sys.executable, "-c", _READ],
        stdin=json.dumps(model),
        environment={"PYTHONPATH": str(_sdk(RELEASES[release]))},
    )
    found: dict[str, Any] = json.loads(printed)
    return found


def _sdk(version: str) -> Path:
    folder = places.cache() / "grafana" / version.replace("!", "-")
    with locks.held(places.cache() / "grafana.lock", "Grafana's SDK"):
        if not folder.exists():
            folder.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
                command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
                command += ["--disable-pip-version-check", "--only-binary=:all:"]
                command += ["--target", f"{temporary}/sdk", f"grafana-foundation-sdk=={version}"]
                subprocess.run(command, check=True, timeout=120)
                (Path(temporary) / "sdk").rename(folder)
    return folder
