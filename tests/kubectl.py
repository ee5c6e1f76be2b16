"""kubectl as a function, for the demo and the tests against a real node."""

import json
import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class KubectlError(RuntimeError):
    """kubectl exited with an error; the message is its output."""


@dataclass(frozen=True)
class Kubectl:
    """One cluster.

    Attributes:
        program: The kubectl to run.
        kubeconfig: Its configuration; None is the user's own.
        context: A context of it; None is the current one.
    """

    program: str = "kubectl"
    kubeconfig: Path | None = None
    context: str | None = None

    def command(self, *arguments: str) -> list[str]:
        """The command line, for processes that outlive a call."""
        chosen = ["--context", self.context] if self.context else []
        return [self.program, *chosen, *arguments]

    @property
    def environment(self) -> dict[str, str]:
        """The environment in which kubectl and helm reach this cluster."""
        known = {"KUBECONFIG": str(self.kubeconfig)} if self.kubeconfig else {}
        return {**os.environ, **known}

    def __call__(self, *arguments: str, stdin: str | None = None) -> str:
        """Runs kubectl and returns its output.

        Raises:
            KubectlError: kubectl failed.
        """
        result = subprocess.run(
            self.command(*arguments),
            input=stdin,
            capture_output=True,
            text=True,
            env=self.environment,
        )
        if result.returncode:
            raise KubectlError(f"kubectl {' '.join(arguments)}: {result.stderr.strip()}")
        return result.stdout

    def json(self, *arguments: str) -> dict[str, Any]:
        """Returns the output of kubectl with ``-o json``."""
        found: dict[str, Any] = json.loads(self(*arguments, "-o", "json"))
        return found

    def apply(self, *objects: dict[str, Any]) -> None:
        """Applies objects."""
        items = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        self("apply", "-f", "-", stdin=json.dumps(items))

    def apply_status(self, body: dict[str, Any]) -> None:
        """Replaces the status of an object, as its controller does."""
        self("replace", "--subresource=status", "-f", "-", stdin=json.dumps(body))

    def exists(self, *arguments: str) -> bool:
        """Whether ``kubectl get`` finds the object."""
        return bool(self("get", *arguments, "--ignore-not-found", "-o", "name"))


def condition(service: dict[str, Any], kind: str) -> dict[str, Any]:
    """A condition of a service that was judged at its present generation, or an empty one."""
    status = service.get("status", {})
    for found in status.get("conditions", ()):
        current = found.get("observedGeneration") == service["metadata"]["generation"]
        if found["type"] == kind and current:
            return dict(found)
    return {}


def eventually(check: Callable[[], Any], *, seconds: float, what: str, pause: float = 0.5) -> Any:
    """Returns the first true result of ``check``; otherwise an AssertionError names the condition.

    Args:
        check: Asked again and again; a KubectlError counts as not yet.
        seconds: The timeout.
        what: The awaited condition, in words.
        pause: Seconds between two questions.
    """
    deadline = time.monotonic() + seconds
    last: object = None
    while time.monotonic() < deadline:
        try:
            last = check()
        except KubectlError as error:
            last = error
        else:
            if last:
                return last
        time.sleep(pause)
    raise AssertionError(f"{what}: not within {seconds:.0f} s; last seen: {last}")
