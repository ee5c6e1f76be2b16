"""The charts, rendered by the real helm."""

import json
import os
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster import binaries
from tests.judges import programs

ROOT = Path(__file__).resolve().parents[2]
OPERATOR = ROOT / "charts/fastapi-operator"
SERVICE = ROOT / "charts/fastapi-service"

Object = dict[str, Any]


class HelmError(RuntimeError):
    """helm exited with an error; the message is its output."""


@dataclass(frozen=True)
class Helm:
    """The helm program, with a cluster or without.

    Attributes:
        program: Path of the program.
        kubeconfig: The cluster; None is none.
    """

    program: Path
    kubeconfig: Path | None = None

    def run(self, *arguments: str | Path, values: Mapping[str, Any] | None = None) -> str:
        """Returns the output of helm; ``values`` are passed as one file.

        Raises:
            HelmError: helm failed.
        """
        command = [str(self.program), *map(str, arguments)]
        if values is not None:
            command += ["--values", "-"]
        done = subprocess.run(
            command,
            check=False,
            capture_output=True,
            text=True,
            input=json.dumps(values or {}),
            env={**os.environ, "KUBECONFIG": str(self.kubeconfig or os.devnull)},
        )
        if done.returncode:
            raise HelmError(done.stdout + done.stderr)
        return done.stdout

    def render(
        self,
        chart: Path,
        values: Mapping[str, Any] | None = None,
        *arguments: str,
        release: str = "platform",
        namespace: str = "system",
    ) -> list[Object]:
        """The objects of a chart, without a cluster.

        Raises:
            HelmError: The chart does not render.
        """
        text = self.run(
            "template", release, chart, "--namespace", namespace, *arguments, values=values
        )
        # The parser in C: the definition of the resource alone takes seconds in Python.
        return [document for document in yaml.load_all(text, yaml.CSafeLoader) if document]


def chosen_helm() -> Path:
    """Helm 3 as the local node has it; with HELM=4 a Helm 4, else the program that HELM names."""
    named = os.environ.get("HELM")
    if named == "4":
        return programs.program("helm", of="helm")
    return Path(named or binaries.ensure() / "helm")


@pytest.fixture(scope="session")
def helm() -> Helm:
    """The helm that is tested with."""
    return Helm(chosen_helm())


def of_kind(objects: Iterable[Object], kind: str) -> list[Object]:
    """The objects of a kind, in order."""
    return [body for body in objects if body["kind"] == kind]


def only(objects: Iterable[Object], kind: str) -> Object:
    """The one object of a kind."""
    (body,) = of_kind(objects, kind)
    return body
