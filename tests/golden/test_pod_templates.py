"""A changed pod template restarts the pods of every user, so CHANGELOG.md must give a reason.

CHANGELOG.md has a digest of each pod template of two cases, so that a change leads you there.
"""

import hashlib
import json
import re
from pathlib import Path

import pytest

from tests.golden.cases import load, templates

CHANGELOG = Path(__file__).resolve().parents[2] / "CHANGELOG.md"


@pytest.mark.parametrize("name", ["minimal", "full"])
def test_a_changed_pod_template_is_in_the_changelog(name: str) -> None:
    digests = {
        item.key.name: hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()[:8]
        for item, template in templates(load(name))
        if item.key.kind in ("Deployment", "StatefulSet")
    }
    built = ", ".join(f"{key} {digest}" for key, digest in sorted(digests.items()))
    recorded = re.findall(rf"<!-- pods of {name}: (.*?) -->", CHANGELOG.read_text())
    assert recorded == [built], (
        "pods of every user restart: add the reason to CHANGELOG.md, and "
        f"<!-- pods of {name}: {built} -->"
    )
