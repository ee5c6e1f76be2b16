"""Simulates users who write services, and controllers that complete workloads."""

import asyncio
import contextlib
import json
import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
from kubernetes import client, config

AGENT = "driver"
_ROOTS = {
    "fastapiservices": "/apis/fastapi-operator.io/v1alpha1",
    "deployments": "/apis/apps/v1",
    "statefulsets": "/apis/apps/v1",
    "jobs": "/apis/batch/v1",
    "configmaps": "/api/v1",
    "services": "/api/v1",
    "horizontalpodautoscalers": "/apis/autoscaling/v2",
    "poddisruptionbudgets": "/apis/policy/v1",
    "networkpolicies": "/apis/networking.k8s.io/v1",
}
_MERGE = "application/merge-patch+json"


class Controllers:
    """Completes Jobs, marks workloads ready at their newest generation, and notes who is Ready."""

    def __init__(self, kubeconfig: Path) -> None:
        target = client.Configuration()
        config.load_kube_config(config_file=str(kubeconfig), client_configuration=target)
        self._host = target.host
        self._tls = ssl.create_default_context(cafile=target.ssl_ca_cert)
        self._tls.load_cert_chain(target.cert_file, target.key_file)
        self._slots = asyncio.Semaphore(20)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._changed = asyncio.Event()
        self.ready: dict[str, bool] = {}

    @contextlib.asynccontextmanager
    async def working(self) -> AsyncIterator["Controllers"]:
        """Connects and watches for the length of a block."""
        connector = aiohttp.TCPConnector(ssl=self._tls, limit=0)
        async with aiohttp.ClientSession(
            self._host, connector=connector, read_bufsize=2**20, headers={"User-Agent": AGENT}
        ) as self._session:
            for kind in ("fastapiservices", "deployments", "statefulsets", "jobs"):
                self._spawn(self._watch(kind))
            try:
                yield self
            finally:
                for task in list(self._tasks):
                    task.cancel()
                await asyncio.gather(*self._tasks, return_exceptions=True)

    async def request(self, method: str, path: str, body: Any = None, **options: Any) -> Any:
        """One request; refusals are errors of the benchmark."""
        kind = options.pop("content_type", "application/json")
        async with (
            self._slots,
            self._session.request(
                method,
                path,
                data=None if body is None else json.dumps(body),
                headers={"Content-Type": kind},
                **options,
            ) as answer,
        ):
            if answer.status >= 300:
                raise RuntimeError(f"{method} {path}: {answer.status} {await answer.text()}")
            return await answer.json()

    async def patch(self, kind: str, namespace: str, name: str, body: Any) -> Any:
        """A merge patch, as an editor sends it."""
        path = f"{_ROOTS[kind]}/namespaces/{namespace}/{kind}/{name}"
        return await self.request("PATCH", path, body, content_type=_MERGE)

    async def create_services(self, namespace: str, bodies: list[dict[str, Any]]) -> None:
        """Creates services side by side."""
        path = f"{_ROOTS['fastapiservices']}/namespaces/{namespace}/fastapiservices"
        await asyncio.gather(*(self.request("POST", path, body) for body in bodies))

    async def until_ready(self, count: int, *, seconds: float) -> float:
        """Waits until ``count`` services are Ready; returns the time on the monotonic clock."""
        async with asyncio.timeout(seconds):
            while sum(self.ready.values()) < count:
                self._changed.clear()
                await self._changed.wait()
        return time.monotonic()

    async def _watch(self, kind: str) -> None:
        query = {"watch": "true", "allowWatchBookmarks": "false"}
        while True:
            timeout = aiohttp.ClientTimeout(total=None)
            async with self._session.get(
                f"{_ROOTS[kind]}/{kind}", params=query, timeout=timeout
            ) as answer:
                async for line in answer.content:
                    event = json.loads(line)
                    if event["type"] in ("ADDED", "MODIFIED"):
                        self._act(kind, event["object"])

    def _act(self, kind: str, body: dict[str, Any]) -> None:
        metadata, status = body["metadata"], body.get("status") or {}
        if kind == "fastapiservices":
            ready = next((c for c in status.get("conditions", ()) if c["type"] == "Ready"), {})
            current = ready.get("observedGeneration") == metadata["generation"]
            self.ready[f"{metadata['namespace']}/{metadata['name']}"] = (
                current and ready.get("status") == "True"
            )
            self._changed.set()
            return
        if kind == "jobs":
            if not status.get("conditions"):
                self._spawn(self._finish(kind, metadata, _completed()))
        elif status.get("observedGeneration") != metadata["generation"]:
            self._spawn(self._finish(kind, metadata, _rolled_out(body)))

    async def _finish(self, kind: str, metadata: dict[str, Any], status: Any) -> None:
        path = f"{_ROOTS[kind]}/namespaces/{metadata['namespace']}/{kind}/{metadata['name']}/status"
        with contextlib.suppress(RuntimeError):  # Gone meanwhile.
            await self.request("PATCH", path, {"status": status}, content_type=_MERGE)

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _rolled_out(body: dict[str, Any]) -> dict[str, Any]:
    count = body["spec"].get("replicas", 1)
    return {
        "observedGeneration": body["metadata"]["generation"],
        "replicas": count,
        "updatedReplicas": count,
        "readyReplicas": count,
        "availableReplicas": count,
    }


def _completed() -> dict[str, Any]:
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    conditions = [
        {"type": kind, "status": "True", "lastTransitionTime": now, "lastProbeTime": now}
        for kind in ("SuccessCriteriaMet", "Complete")
    ]
    return {"startTime": now, "completionTime": now, "succeeded": 1, "conditions": conditions}
