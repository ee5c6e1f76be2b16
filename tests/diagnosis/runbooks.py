"""Runs the commands of a runbook in order on its fault, without a cluster.

Commands of ``kubectl exec`` run on the same server, ``logs`` reads its log, and a profile comes
from their own port. Commands on objects of the cluster are skipped:
tests/e2e/test_doctor.py runs them on a node.
"""

import os
import re
import subprocess
import urllib.request
from collections.abc import Iterator, Mapping

from fastapi_operator.observability.flamegraph import Profile
from tests.diagnosis import replay
from tests.diagnosis.stage import Stage
from tests.docs.blocks import ROOT, blocks

_EXEC = re.compile(r"^kubectl --namespace NAMESPACE exec \S+(?: -c \w+)? -- ", re.MULTILINE)
_LOGS = re.compile(r"^kubectl --namespace NAMESPACE logs .*?--prefix", re.MULTILINE)
_QUERY = re.compile(r"```promql\n\s*(.*?)\n\s*```", re.DOTALL)


def commands(page: str, stage: Stage) -> Iterator[str]:
    """Yields the output of each command of a page."""
    for block in blocks(ROOT / f"docs/runbooks/{page}.md"):
        if block.script.startswith("kubectl fastapi profile"):
            yield profile(stage)
        elif _EXEC.match(block.script) or _LOGS.match(block.script):
            script = _LOGS.sub(f"cat {' '.join(map(str, stage.logs))}", _EXEC.sub("", block.script))
            for there, here in _here(stage).items():
                script = script.replace(there, here)
            environment = os.environ | {"REDISCLI_AUTH": stage.redis.password}
            done = subprocess.run(
                ["bash", "-o", "pipefail", "-c", script],
                env=environment, capture_output=True, text=True, timeout=30, check=False,
            )  # fmt: skip
            yield done.stdout + done.stderr


def queries(page: str, given: Mapping[str, str]) -> list[str]:
    """The results of the queries of a page, after the fault has lasted."""
    text = (ROOT / f"docs/runbooks/{page}.md").read_text()
    expressions = [
        q.replace("NAMESPACE", "team").replace("SERVICE", "shop") for q in _QUERY.findall(text)
    ]
    return replay.results(expressions, given) if expressions else []


def profile(stage: Stage, seconds: int = 2) -> str:
    """The lines that ``profile`` would print for the first pod."""
    url = stage.apps[0].diagnostics_url
    with urllib.request.urlopen(f"{url}/debug/profile?seconds={seconds}&hertz=100") as response:
        taken = Profile(response.read().decode())
    return "\n".join(line.place for line in taken.top())


def _here(stage: Stage) -> dict[str, str]:
    return {
        "-h /run/postgresql -U postgres app": f"-d {stage.database.url()}",
        "-h /run/pgbouncer -U pgbouncer pgbouncer": f"-d {stage.pooler.url('pgbouncer')}",
        "redis-cli --user monitor": f"redis-cli -p {stage.redis.port} --user app",
    }
