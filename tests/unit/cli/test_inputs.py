"""Input errors of the commands: one line with file, field, cause and remedy, and status 2."""

from pathlib import Path

import pytest

from tests.unit.cli.test_commands import SHOP, invoke

KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: local
clusters: [{name: local, cluster: {server: "http://127.0.0.1:1"}}]
users: [{name: local, user: {}}]
contexts: [{name: local, context: {cluster: local, user: local}}]
"""
FILE = "input.yaml"


@pytest.mark.parametrize(
    ("arguments", "content", "message"),
    [
        (("explain", "-f", FILE), b"a: [1\n", f"{FILE}: not valid YAML: line 2, column 1: "),
        (("explain", "-f", FILE), b"\xff\xfe", f"{FILE}: not UTF-8 text; save it as UTF-8"),
        (
            ("render", "-f", FILE),
            b"kind: Deployment\n",
            f"{FILE}: no document of kind FastAPIService; found kinds: Deployment",
        ),
        (
            ("env", "-f", FILE),
            f"{SHOP}---{SHOP}".encode(),
            f"{FILE}: 2 services found; give a file with one",
        ),
        (
            ("explain", "-f", "-", "--settings", FILE),
            b"wrkers: 3\n",
            f"{FILE}: wrkers: unknown field; did you mean workers?",
        ),
        (
            ("explain", "-f", "-", "--settings", FILE),
            b"a: [1\n",
            f"{FILE}: not valid YAML: line 2, column 1: ",
        ),
        (
            ("explain", "-f", "-", "--settings", FILE),
            b"- 1\n",
            f"{FILE}: the top level must be a mapping",
        ),
        (
            ("explain", "-f", "-", "--facts", FILE),
            b"api: []\n",
            f"{FILE}: facts: unknown key 'api'",
        ),
        (
            ("explain", "-f", "-", "--prices", FILE),
            b"currency: EUR\n",
            f"{FILE}: cpuCoreMonth: is required",
        ),
        (
            ("status", "shop", "--kubeconfig", "missing.yaml"),
            b"",
            "kubeconfig missing.yaml: no such file; set KUBECONFIG",
        ),
        (
            ("status", "shop", "--kubeconfig", FILE),
            KUBECONFIG.encode(),
            "cannot reach the API server: ",
        ),
        (
            ("explain", "shop", "--context", "other", "--kubeconfig", FILE),
            KUBECONFIG.encode(),
            f"kubeconfig {FILE}: ",
        ),
        (("run", "--settings", FILE), b"wrkers: 3\n", f"{FILE}: wrkers: unknown field"),
        (("monitoring", "--label", "team"), b"", "--label team: must be KEY=VALUE"),
    ],
)
def test_an_input_error_is_one_line_and_exits_with_2(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    content: bytes,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / FILE).write_bytes(content)

    result = invoke(*arguments, text=SHOP)

    assert result.stderr.startswith(f"error: {message}"), result.stderr
    assert result.stderr.count("\n") == 1
    assert result.exit_code == 2
