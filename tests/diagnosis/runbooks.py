"""The commands of an alert's page, run in order on its fault, without the cluster around them.

Commands for ``kubectl exec`` run here on the same server, ``logs`` is its log, and a
profile comes from the same private port. Commands on objects of the cluster are left out: they run
on a node, in tests/e2e/test_doctor.py.
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
    """The output of the commands of a page, in order."""
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
    """The results of the queries of a page after the fault has lasted."""
    text = (ROOT / f"docs/runbooks/{page}.md").read_text()
    asked = [
        q.replace("NAMESPACE", "team").replace("SERVICE", "shop") for q in _QUERY.findall(text)
    ]
    return replay.answers(asked, given) if asked else []


def profile(stage: Stage, seconds: int = 2) -> str:
    """The output of ``profile`` for the first pod."""
    url = stage.apps[0].metrics_url.removesuffix("/metrics")
    with urllib.request.urlopen(f"{url}/debug/profile?seconds={seconds}&hertz=100") as answer:
        taken = Profile(answer.read().decode())
    return "\n".join(line.place for line in taken.top())


def _here(stage: Stage) -> dict[str, str]:
    return {
        "-h /run/postgresql -U postgres app": f"-d {stage.database.url()}",
        "-h /run/pgbouncer -U pgbouncer pgbouncer": f"-d {stage.pooler.url('pgbouncer')}",
        "redis-cli --user monitor": f"redis-cli -p {stage.redis.port} --user app",
    }
