"""The common base of an API server and of a whole node: a name, a life cycle, a kubeconfig."""

import abc
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.cluster import binaries, failures, instances


class Handle(abc.ABC):
    """An instance by its name.

    As a context manager it exists inside the `with` block and is removed after it.
    """

    def __init__(self, name: str) -> None:
        """Describe it without starting it; different names do not affect each other."""
        instances.check_name(name)
        self.name = name

    def __enter__(self) -> Self:
        """Start it."""
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop it."""
        self.stop()

    @abc.abstractmethod
    def start(self) -> Path:
        """Start it unless it runs, wait until it is ready, return its kubeconfig's path."""

    @abc.abstractmethod
    def stop(self) -> None:
        """Removes all of it."""

    @property
    def programs(self) -> Path:
        """The folder with kubectl, helm and the servers."""
        return binaries.ensure()

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self._instance().kubeconfig

    @property
    def audit_log(self) -> Path:
        """One JSON line a request of anyone but the cluster's own parts, at level Metadata."""
        return self._instance().logs / "audit.log"

    def _instance(self) -> instances.Instance:
        instance = instances.find(self.name)
        if instance is None:
            raise failures.ClusterError(
                f"{self.name} does not run: python3 -m tests.cluster up --name {self.name}"
            )
        return instance
