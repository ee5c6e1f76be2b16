"""Tries hypothetical indexes on the database of a service, for ``doctor``."""

import asyncio
import importlib.resources
import json
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from fastapi_operator.api.service import FastAPIService
from fastapi_operator.cli import in_pod, psql, reach
from fastapi_operator.cli.connect import Cluster
from fastapi_operator.cluster.pods import LivePod
from fastapi_operator.observability import bounds
from fastapi_operator.observability.diagnoses.diagnosis import Diagnosis
from fastapi_operator.observability.indexes import advice
from fastapi_operator.parts import Part
from fastapi_operator.resources.database import RUN_DIRECTORY
from fastapi_operator.resources.inputs import ALTERNATE_ROLE, APP_ROLE

# Those that take most of the time; the planner needs some milliseconds for each.
_STATEMENTS = 20
_TIMEOUT_SECONDS = 30
_PSQL = ("psql", "-X", "-f", "-")
_NOT_TRIED = "no index was tried"
_PLACE = re.compile(r"^psql:\S+ \w+: +")
_REMEDIES = {
    "hypopg": 'the database\'s server does not have the extension hypopg; see "Missing indexes" '
    "in docs/parts/database.md",
    "pg_stat_statements": "the extension pg_stat_statements is not created in the database",
}


class Tried(NamedTuple):
    """The result of the trials.

    Attributes:
        diagnoses: A diagnosis for each index that is missing.
        note: Why nothing was tried; empty if it was, or if the service has no database.
    """

    diagnoses: tuple[Diagnosis, ...] = ()
    note: str = ""


class Session(NamedTuple):
    """How to run psql: the command, its further environment, and the roles whose statements count.

    Without roles, they are those of the session's own role.
    """

    command: tuple[str, ...]
    environment: Mapping[str, str]
    roles: tuple[str, ...] = ()


class NotTriedError(Exception):
    """The trial is not possible; the message has the reason."""


async def find(
    cluster: Cluster,
    service: FastAPIService,
    pods: Sequence[LivePod],
    *,
    external: bool,
    kubeconfig: str | None,
) -> Tried:
    """Returns the missing indexes of a service.

    Args:
        cluster: The connection.
        service: The service.
        pods: The pods of the service.
        external: Whether a database that the operator does not run is read too.
        kubeconfig: The kubeconfig; None for that of the environment.
    """
    postgres = service.spec.postgres
    if postgres is None:
        return Tried()
    if postgres.mode == "External" and not external:
        return Tried(
            note=f"{_NOT_TRIED}: the database is external; to plan its statements, add --yes"
        )
    try:
        if postgres.mode != "External":
            return await find_in(await _in_pod(cluster, service, pods, kubeconfig))
        return await _through_the_pooler(cluster, service.metadata.name, pods)
    except NotTriedError as error:
        return Tried(note=f"{_NOT_TRIED}: {error}")


async def find_in(session: Session) -> Tried:
    """Returns the missing indexes of a database.

    Raises:
        NotTriedError: The extensions are missing, or the database refused.
    """
    survey = advice.Survey.read(await _run(session, ()))
    tried = advice.trials(survey)
    if not tried:
        return Tried()
    final = advice.final_trials(tried, (await _run(session, tried))["plans"])
    if not final:
        return Tried()
    return Tried(advice.diagnoses(survey, final, (await _run(session, final))["plans"]))


async def _in_pod(
    cluster: Cluster, service: FastAPIService, pods: Sequence[LivePod], kubeconfig: str | None
) -> Session:
    """Returns the session of the superuser, which may create the extension for a transaction."""
    if shutil.which("kubectl") is None:
        raise NotTriedError("kubectl is not on PATH, and runs psql in the database's pod")
    if service.spec.postgres and service.spec.postgres.mode == "CloudNativePG":
        pod, socket = await psql.primary(cluster, service.metadata.name), ""
    else:
        running = [pod.name for pod in pods if pod.part is Part.DATABASE and pod.running]
        if not running:
            raise NotTriedError("no pod of the database is running")
        pod, socket = running[0], RUN_DIRECTORY
    command = in_pod.exec_command(
        pod,
        Part.DATABASE.record.container,
        psql.command(psql.Role.SUPERUSER, list(_PSQL[1:]), socket=socket),
        namespace=cluster.namespace,
        context=cluster.context,
        kubeconfig=kubeconfig,
        terminal=False,
    )
    return Session(command, {}, (APP_ROLE, ALTERNATE_ROLE))


async def _through_the_pooler(cluster: Cluster, name: str, pods: Sequence[LivePod]) -> Tried:
    if shutil.which("psql") is None:
        raise NotTriedError("psql is not on PATH, and reaches the external database")
    if not any(pod.part is Part.POOLER and pod.running for pod in pods):
        raise NotTriedError("no pooler is running, so no pod leads to the external database")
    chooser = reach.Chooser(cluster, name, Part.POOLER, Part.POOLER.record.port_name)
    variables = await psql.session(cluster, name, Part.POOLER, psql.Role.APP)
    async with in_pod.forwarded(cluster, chooser) as port:
        return await find_in(Session(_PSQL, {**variables, "PGPORT": str(port)}))


async def _run(session: Session, tries: Sequence[advice.Trial]) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        *session.command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **session.environment},
    )
    try:
        async with asyncio.timeout(_TIMEOUT_SECONDS):
            output, errors = await process.communicate(script(session.roles, tries).encode())
    except TimeoutError:
        process.kill()
        await process.wait()
        raise NotTriedError(f"the database did not respond within {_TIMEOUT_SECONDS} s") from None
    if process.returncode:
        reason = _PLACE.sub("", errors.decode(errors="replace").strip()).partition("\n")[0]
        raise NotTriedError(reason or f"psql ended with exit status {process.returncode}")
    record: dict[str, Any] = json.loads(output)
    if "missing" in record:
        raise NotTriedError(_REMEDIES[record["missing"]])
    return record


def script(roles: Sequence[str], tries: Sequence[advice.Trial]) -> str:
    """Returns the input of psql.

    Args:
        roles: The roles whose statements are planned, as the first of them; empty for the own one.
        tries: The statements to plan with indexes; empty for the slowest ones without.
    """
    variables = {
        "roles": ",".join(roles),
        "statements": str(_STATEMENTS),
        "mean_ms": str(1000 * bounds.INDEX_STATEMENT_SECONDS),
        "rows": str(bounds.SCANNED_ROWS),
        "tries": json.dumps([trial.record() for trial in tries]) if tries else "",
    }
    lines = [f"\\set {name} {_quoted(value)}" for name, value in variables.items()]
    sql = importlib.resources.files(advice.__package__ or "") / "trial.sql"
    return "\n".join((*lines, sql.read_text()))


def _quoted(value: str) -> str:
    doubled = value.replace("\\", "\\\\").replace("'", "''")
    return f"'{doubled}'"
