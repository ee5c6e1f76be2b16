"""A changed pod template restarts pods of every user, so the changelog says why.

CHANGELOG.md carries a digest of each pod template of two cases: who changes one comes by its
entries.
"""

import hashlib
import json
import re
from pathlib import Path

import pytest

from tests.golden.cases import load, templates

CHANGELOG = Path(__file__).resolve().parents[2] / "CHANGELOG.md"


@pytest.mark.parametrize("name", ["minimal", "full"])
def test_a_changed_pod_template_stands_in_the_changelog(name: str) -> None:
    digests = {
        item.key.name: hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()[:8]
        for item, template in templates(load(name))
        if item.key.kind in ("Deployment", "StatefulSet")
    }
    built = ", ".join(f"{key} {digest}" for key, digest in sorted(digests.items()))
    told = re.findall(rf"<!-- pods of {name}: (.*?) -->", CHANGELOG.read_text())
    assert told == [built], (
        f"pods of every user restart: say in CHANGELOG.md why, and <!-- pods of {name}: {built} -->"
    )
