"""Leader election: of several operators, only the holder of a Lease reconciles.

Time is measured with the monotonic clock, and only between two observations of the same process,
so that a wrong or changing wall clock has no effect. The leader renews the Lease every ten seconds.
If it cannot renew it, it exits before another operator may take over.

A conflict does not mean that the Lease is lost: the response to a renewal can be lost although it
was stored, and a person can edit the Lease. So the leader reads it again, and continues if the
Lease still names it.
"""

import asyncio
import datetime
from collections.abc import Callable, Mapping
from typing import Any

import structlog

from fastapi_operator.cluster.client import Client
from fastapi_operator.cluster.errors import ApiError
from fastapi_operator.cluster.failures import Failures
from fastapi_operator.cluster.kinds import LEASE

RENEW_SECONDS = 10.0
RETRY_SECONDS = 2.0
# The leader exits before another operator may take over; the gap covers a request that hangs.
GIVE_UP_SECONDS = 25.0
TAKE_OVER_SECONDS = 40.0
# The renewals that may fail before the log reports an error: the process exits soon.
ERROR_AFTER_SECONDS = 8.0

_log = structlog.get_logger(__name__)


class LeaseLostError(RuntimeError):
    """Another operator may be the leader now: this one must stop at once."""


class Lease:
    """The Lease ``NAME`` in the operator's namespace."""

    def __init__(
        self,
        client: Client,
        *,
        namespace: str,
        name: str,
        identity: str,
        clock: Callable[[], float],
    ) -> None:
        self._client = client
        self._namespace = namespace
        self._name = name
        self._identity = identity
        self._clock = clock
        self._body: dict[str, Any] | None = None
        self._seen: tuple[str, float] = ("", 0.0)

    async def acquire(self) -> None:
        """Waits until this operator is the leader."""
        failures = Failures(_log, "lease not acquired", clock=self._clock)
        while True:
            try:
                if await self._try():
                    break
                failures.end()
            except ApiError as error:
                if error.status == 409:
                    # Another operator was faster.
                    failures.end()
                else:
                    failures.add(error=str(error), lease=f"{self._namespace}/{self._name}")
            await asyncio.sleep(RETRY_SECONDS)
        _log.info("lease acquired", identity=self._identity)

    async def keep(self) -> None:
        """Renews the Lease until it is lost.

        Raises:
            LeaseLostError: Another operator took it, or it could not be renewed in time.
        """
        renewed = self._clock()
        failures = Failures(
            _log, "lease not renewed", clock=self._clock, error_after=ERROR_AFTER_SECONDS
        )
        while True:
            await asyncio.sleep(RENEW_SECONDS if renewed + 1 > self._clock() else RETRY_SECONDS)
            try:
                async with asyncio.timeout(GIVE_UP_SECONDS - RENEW_SECONDS):
                    await self._renew()
                renewed = self._clock()
                failures.end()
            except (ApiError, TimeoutError) as error:
                failures.add(error=str(error) or "timeout")
            if self._clock() - renewed > GIVE_UP_SECONDS:
                raise LeaseLostError(f"lease {self._name} not renewed for {GIVE_UP_SECONDS:.0f} s")

    async def release(self) -> None:
        """Releases the Lease, so that another operator can take over at once."""
        if self._body is None:
            return
        self._body["spec"]["holderIdentity"] = ""
        try:
            async with asyncio.timeout(RETRY_SECONDS):
                await self._client.put(LEASE, self._body)
        except (ApiError, TimeoutError) as error:
            _log.warning("lease not released", error=str(error))

    async def _try(self) -> bool:
        body = await self._client.get(LEASE, self._namespace, self._name)
        if body is None:
            if self._seen[0] and self._clock() - self._seen[1] < TAKE_OVER_SECONDS:
                # Someone deleted it. Its leader may not know, and creates it at the next renewal.
                return False
            self._body = await self._client.create(LEASE, self._new_body())
            return True
        holder = _holder(body)
        version = body["metadata"]["resourceVersion"]
        if version != self._seen[0]:
            self._seen = (version, self._clock())
        idle = self._clock() - self._seen[1]
        if holder not in ("", self._identity) and idle < TAKE_OVER_SECONDS:
            return False
        self._body = body
        await self._write(taken=True)
        return True

    async def _renew(self) -> None:
        try:
            await self._write(taken=False)
        except ApiError as error:
            if error.status != 409:
                raise
            body = await self._client.get(LEASE, self._namespace, self._name)
            if body is None or _holder(body) != self._identity:
                raise LeaseLostError(f"lease {self._name} was taken by another operator") from error
            self._body = body
            await self._write(taken=False)

    async def _write(self, *, taken: bool) -> None:
        assert self._body is not None
        now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        spec = {**self._body.get("spec", {}), "renewTime": now}
        spec["holderIdentity"] = self._identity
        spec["leaseDurationSeconds"] = int(TAKE_OVER_SECONDS)
        if taken:
            spec["acquireTime"] = now
            spec["leaseTransitions"] = int(spec.get("leaseTransitions") or 0) + 1
        metadata = {
            name: self._body["metadata"][name]
            for name in ("name", "namespace", "resourceVersion", "labels")
            if name in self._body["metadata"]
        }
        body = {
            "apiVersion": LEASE.api_version,
            "kind": LEASE.kind,
            "metadata": metadata,
            "spec": spec,
        }
        self._body = await self._client.put(LEASE, body)

    def _new_body(self) -> dict[str, Any]:
        now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        return {
            "apiVersion": LEASE.api_version,
            "kind": LEASE.kind,
            "metadata": {"name": self._name, "namespace": self._namespace},
            "spec": {
                "holderIdentity": self._identity,
                "leaseDurationSeconds": int(TAKE_OVER_SECONDS),
                "acquireTime": now,
                "renewTime": now,
                "leaseTransitions": 0,
            },
        }


def _holder(body: Mapping[str, Any]) -> str:
    return str(body.get("spec", {}).get("holderIdentity") or "")
