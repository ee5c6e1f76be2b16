"""The ASGI servers: the command of each, and the variables from which it reads its numbers.

Numbers are in the environment, so that a user's own command reads them too. To add a server, add an
entry to the table.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from fastapi_operator.api import server as api
from fastapi_operator.api.service import Spec
from fastapi_operator.resources.inputs import Inputs

DEFAULT_APP = "main:app"
HEARTBEAT_DIRECTORY = "/run/heartbeat"
Read = Callable[[Inputs], str | int | None]


class Setting(NamedTuple):
    """One variable of a server: its name, meaning and value; None leaves it out."""

    name: str
    meaning: str
    value: Read


@dataclass(frozen=True)
class Server:
    """One kind of server.

    Attributes:
        command: Its command, followed by the app and the user's arguments.
        settings: The variables that it reads.
        heartbeat: Whether its workers need a directory for heartbeat files.
    """

    command: tuple[str, ...]
    settings: tuple[Setting, ...]
    heartbeat: bool = False


def _all_addresses(inputs: Inputs) -> str:
    """All addresses of the pod of its first family; its network policy restricts the clients.

    Not always those of IPv6: a node whose kernel has no IPv6 refuses to listen on them.
    """
    return "::" if inputs.facts.ipv6 else "0.0.0.0"  # noqa: S104


def _root_path(inputs: Inputs) -> str | None:
    return inputs.root_path or None


def _gunicorn_arguments(inputs: Inputs) -> str:
    """The options for which gunicorn has no variables."""
    plan, address = inputs.plan.server, _all_addresses(inputs)
    host = f"[{address}]" if ":" in address else address
    return " ".join(
        (
            f"--bind={host}:{inputs.app_port}",
            "--worker-class=uvicorn_worker.UvicornWorker",
            f"--timeout={_healthcheck_seconds(inputs)}",
            f"--graceful-timeout={plan.graceful_seconds.value}",
            f"--keep-alive={plan.keep_alive_seconds.value}",
            f"--worker-tmp-dir={HEARTBEAT_DIRECTORY}",
            # The socket would be in the home directory, on the read-only root file system.
            "--no-control-socket",
        )
    )


def _keep_alive_milliseconds(inputs: Inputs) -> int:
    return 1000 * inputs.plan.server.keep_alive_seconds.value


def _healthcheck_seconds(inputs: Inputs) -> int | None:
    decision = inputs.plan.server.worker_healthcheck_seconds
    return decision.value if decision else None


def _connections(inputs: Inputs) -> int | None:
    decision = inputs.plan.server.max_connections
    return decision.value if decision else None


SERVERS: Mapping[api.Engine, Server] = {
    "Uvicorn": Server(
        command=("uvicorn",),
        settings=(
            Setting("UVICORN_HOST", "address of uvicorn", _all_addresses),
            Setting("UVICORN_PORT", "port of uvicorn", lambda inputs: inputs.app_port),
            Setting(
                "UVICORN_TIMEOUT_KEEP_ALIVE",
                "seconds that an idle connection stays open",
                lambda inputs: inputs.plan.server.keep_alive_seconds.value,
            ),
            Setting(
                "UVICORN_TIMEOUT_GRACEFUL_SHUTDOWN",
                "seconds that requests in flight can take at shutdown",
                lambda inputs: inputs.plan.server.graceful_seconds.value,
            ),
            Setting(
                "UVICORN_TIMEOUT_WORKER_HEALTHCHECK",
                "seconds of silence after which uvicorn replaces a worker",
                _healthcheck_seconds,
            ),
            Setting("UVICORN_ROOT_PATH", "path under which a proxy serves the app", _root_path),
        ),
    ),
    "Gunicorn": Server(
        command=("gunicorn",),
        settings=(
            Setting(
                "GUNICORN_CMD_ARGS",
                "gunicorn's address, worker class, timeouts and directories",
                _gunicorn_arguments,
            ),
        ),
        heartbeat=True,
    ),
    "Granian": Server(
        command=("granian",),
        settings=(
            Setting("GRANIAN_INTERFACE", "interface between granian and the app", lambda _: "asgi"),
            Setting("GRANIAN_HOST", "address of granian", _all_addresses),
            Setting("GRANIAN_PORT", "port of granian", lambda inputs: inputs.app_port),
            Setting("GRANIAN_HTTP", "version of HTTP that granian accepts", lambda _: "1"),
            Setting(
                "GRANIAN_WORKERS",
                "worker processes of granian",
                lambda inputs: inputs.plan.server.workers.value,
            ),
            Setting(
                "GRANIAN_HTTP1_HEADER_READ_TIMEOUT",
                "milliseconds that an idle connection stays open",
                _keep_alive_milliseconds,
            ),
            Setting(
                "GRANIAN_BACKPRESSURE",
                "connections of a worker, including idle ones, above which granian accepts no more",
                _connections,
            ),
            Setting(
                "GRANIAN_WORKERS_KILL_TIMEOUT",
                "seconds that requests in flight can take at shutdown",
                lambda inputs: inputs.plan.server.graceful_seconds.value,
            ),
            Setting(
                "GRANIAN_RESPAWN_FAILED_WORKERS",
                "whether granian replaces a worker that ends by itself",
                lambda _: "true",
            ),
            Setting(
                "GRANIAN_URL_PATH_PREFIX", "path under which a proxy serves the app", _root_path
            ),
        ),
    ),
}


def server_of(spec: Spec) -> Server:
    """Returns the server that runs the app."""
    return SERVERS[_program(spec)]


def server_command(spec: Spec) -> tuple[str, ...]:
    """Returns its command; the user's arguments come last, so that they take precedence."""
    extra = (spec.server and spec.server.extra_args) or ()
    return (*server_of(spec).command, spec.app or DEFAULT_APP, *extra)


def _program(spec: Spec) -> api.Engine:
    return (spec.server or api.Server()).effective_engine


def _only_for(program: api.Engine, value: Read) -> Read:
    return lambda inputs: value(inputs) if _program(inputs.spec) == program else None


# Rows of the environment contract, each only for its own server.
SETTINGS: tuple[Setting, ...] = tuple(
    item._replace(value=_only_for(program, item.value))
    for program, server in SERVERS.items()
    for item in server.settings
)
