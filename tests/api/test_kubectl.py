"""What people see through kubectl: how it reads files, what it explains, prints and scales."""

import json
import subprocess
from collections.abc import Callable

import pytest

from tests.cluster.apiserver import ApiServer
from tests.unit.api.scalars import REFUSED, SCALARS

Kubectl = Callable[..., subprocess.CompletedProcess[str]]

HEAD = "apiVersion: fastapi-operator.io/v1alpha1\nkind: FastAPIService\n"


@pytest.fixture
def kubectl(server: ApiServer, tmp_path: object) -> Kubectl:
    def run(*arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [server.programs / "kubectl", "--kubeconfig", server.kubeconfig, *arguments],
            input=text,
            capture_output=True,
            text=True,
            check=False,
            env={"HOME": str(tmp_path)},
        )

    return run


def test_kubectl_reads_scalars_as_the_table_says(kubectl: Kubectl) -> None:
    texts = list(SCALARS)
    documents = [
        f"{HEAD}metadata: {{name: n{index}}}\nvalue: {text}\n" for index, text in enumerate(texts)
    ]
    done = kubectl(
        *("create", "--dry-run=client", "--validate=false", "-o", "json", "-f", "-"),
        text="---\n".join(documents),
    )
    assert done.returncode == 0, done.stderr
    decoder, rest, read = json.JSONDecoder(), done.stdout.strip(), {}
    while rest:
        body, end = decoder.raw_decode(rest)
        read[texts[len(read)]] = body.get("value")
        rest = rest[end:].strip()
    assert read == SCALARS
    assert {text: type(value) for text, value in read.items()} == {
        text: type(value) for text, value in SCALARS.items()
    }


@pytest.mark.parametrize("text", REFUSED)
def test_kubectl_cannot_send_what_the_table_refuses(kubectl: Kubectl, text: str) -> None:
    document = f"{HEAD}metadata: {{name: n}}\nvalue: {text}\n"
    done = kubectl("create", "--dry-run=client", "--validate=false", "-f", "-", text=document)
    assert done.returncode != 0
