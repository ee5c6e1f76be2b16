"""The tree of a service's state: each message is whole, at any width of the terminal."""

from typing import Any

import pytest

from fastapi_operator.cli import status

CAUSE = "app: pod shop-1, container app: exit code 1: OSError: [Errno 30] Read-only file system: "
CAUSE += "'/code/src/app/logs'; after: Traceback (most recent call last):"
FRAMES = '  File "/code/src/app/main.py", line 13, in <module>\n    configure()'
RECORD: dict[str, Any] = {
    "service": "shop",
    "namespace": "default",
    "image": "registry.example.com/a/long/path/shop:1",
    "ready": False,
    "stalled": True,
    "overloaded": "the proxy rejected 120 of 1200 requests (10 %) of 2 pods in 300 s",
    "reason": "CrashLoopBackOff",
    "message": f"{CAUSE}\n{FRAMES}",
    "migration": {"key": "1f2", "state": "Succeeded", "revision": "5a21e0,9c33b7"},
    "preflight": {
        "outcome": "Passed",
        "python": "3.14.0",
        "gil": False,
        "server": "uvicorn 0.38.0",
        "uvloop": True,
        "fastapi": "0.121.0",
        "importMilliseconds": 940,
        "memoryBytes": 73_400_321,
        "routes": 23,
        "openapi": "9f2c41d0aa00bb11",
    },
    "canary": {
        "step": 1,
        "steps": 3,
        "image": "registry.example.com/a/long/path/shop:2",
        "phase": "Progressing",
        "percent": 25,
        "next": "50 % from 22:11:05, when the judge agrees",
    },
    "leak": {
        "message": "the memory of pod shop-1 grows by 1.00 MiB/s",
        "at": "2026-01-01T00:00:00Z",
    },
    "parts": [
        {
            "part": "app",
            "ready": False,
            "reason": "CrashLoopBackOff",
            "message": f"{CAUSE}\n{FRAMES}",
            "objects": [
                {
                    "kind": "Deployment",
                    "name": "shop",
                    "created": "2026-01-01T00:00:00Z",
                    "ready": False,
                    "message": CAUSE,
                }
            ],
        },
        {"part": "preflight", "ready": True, "reason": "Ready", "message": "", "objects": []},
        {"part": "migration", "ready": True, "reason": "Succeeded", "message": "", "objects": []},
        {"part": "proxy", "ready": True, "reason": "Ready", "message": "", "objects": []},
    ],
    "entries": [{"name": "admin", "url": "https://admin.example.com/admin"}],
    "tuning": [],
    "pending": [{"name": "Deployment shop", "reason": CAUSE}],
    "problems": [{"severity": "error", "path": "spec.image", "message": CAUSE}],
}


@pytest.mark.parametrize("columns", ["20", "80", "200"])
def test_no_message_is_cut_at_any_width(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    status.print_tree(RECORD, values=True)
    shown = capsys.readouterr().out
    assert shown.count(CAUSE) == 5
    assert shown.count('File "/code/src/app/main.py", line 13') == 2
    assert "…" not in shown


def test_the_tree_shows_parts_and_objects(capsys: pytest.CaptureFixture[str]) -> None:
    status.print_tree(RECORD, values=True)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("✗ shop  registry.example.com/a/long/path/shop:1  CrashLoopBackOff")
    assert " CrashLoopBackOff (stalled): app: pod shop-1" in lines[0]
    assert any(line.startswith("├── ✗ app  CrashLoopBackOff: app: pod ") for line in lines)
    assert any(line.startswith("│   └── ✗ Deployment shop  ") for line in lines)
    image = "uvicorn 0.38.0, uvloop, fastapi 0.121.0, imported in 0.9 s with 71Mi"
    assert (
        f"├── ✓ preflight  Python 3.14.0, without GIL, {image}, 23 routes, OpenAPI 9f2c41d0"
        in lines
    )
    assert "├── ✓ migration  revision 5a21e0,9c33b7" in lines
    assert "└── ✓ proxy" in lines
    assert "overloaded: the proxy rejected 120 of 1200 requests (10 %) of 2 pods in 300 s" in lines
    assert "memory: the memory of pod shop-1 grows by 1.00 MiB/s (2026-01-01T00:00:00Z)" in lines
    assert "entry admin: https://admin.example.com/admin" in lines


def test_a_failed_migration_has_its_reason_and_the_revision_that_it_left(
    capsys: pytest.CaptureFixture[str],
) -> None:
    failed = {"part": "migration", "ready": False, "reason": "MigrationFailed", "message": "exit 1"}
    status.print_tree({**RECORD, "parts": [{**failed, "objects": []}]}, values=True)
    lines = capsys.readouterr().out.splitlines()
    assert "└── ✗ migration  revision 5a21e0,9c33b7  MigrationFailed: exit 1" in lines


def test_numbers_that_the_status_does_not_hold_are_named_by_their_command(
    capsys: pytest.CaptureFixture[str],
) -> None:
    status.print_tree(RECORD, values=True)
    assert "numbers: fastapi-operator explain shop -n default" in capsys.readouterr().out
