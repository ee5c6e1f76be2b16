"""``spec.server``: the ASGI server and its workers."""

from typing import Literal

from pydantic import Field

from fastapi_operator.api.model import Arguments, Model, UrlPath

Engine = Literal["Uvicorn", "Gunicorn", "Granian"]


class Probes(Model):
    """Paths that answer the kubelet; without one the port is probed by TCP."""

    startup: UrlPath | None = Field(
        default=None,
        description="Path that answers 200 once the app has started. Default: TCP.",
        examples=["/startupz"],
    )
    readiness: UrlPath | None = Field(
        default=None,
        description="Path that answers 200 while the app takes requests. Default: TCP.",
        examples=["/readyz"],
    )
    liveness: UrlPath | None = Field(
        default=None,
        description="Path that answers 200 unless the process must be restarted; it must not "
        "look at the database. Default: TCP.",
        examples=["/livez"],
    )


class Server(Model):
    """The ASGI server that runs the app."""

    engine: Engine | None = Field(
        default=None,
        description="The server's program, which the image must have. Default: Uvicorn.",
        examples=["Uvicorn"],
    )
    worker_policy: Literal["Quota", "TwoNPlusOne", "Fixed"] | None = Field(
        default=None,
        description="How the number of worker processes is found: Quota by the CPU and memory a "
        "pod is given, TwoNPlusOne by 2n+1 of those cores, Fixed by workers. Default: Quota.",
        examples=["Quota"],
    )
    workers: int | None = Field(
        default=None,
        ge=1,
        le=64,
        description="Worker processes a pod; only with workerPolicy Fixed. Default: derived.",
        examples=[2],
    )
    threads: int | None = Field(
        default=None,
        ge=1,
        le=1000,
        description="Threads of each process for def endpoints and blocking calls (AnyIO tokens). "
        "Default: derived.",
        examples=[40],
    )
    keep_alive_seconds: int | None = Field(
        default=None,
        ge=1,
        le=3600,
        description="Seconds that an idle connection stays open; must exceed the idle time of the "
        "proxy before it. Default: derived.",
        examples=[75],
    )
    graceful_seconds: int | None = Field(
        default=None,
        ge=1,
        le=3600,
        description="Seconds that requests under way may take at shutdown. Default: derived.",
        examples=[25],
    )
    probes: Probes | None = Field(
        default=None, description="Paths that answer the kubelet. Default: TCP probes."
    )
    root_path: UrlPath | None = Field(
        default=None,
        description="Path under which a proxy serves the app. Default: none.",
        examples=["/shop"],
    )
    extra_args: Arguments | None = Field(
        default=None,
        description="Further arguments of the server's command line. Default: none.",
        examples=[["--no-server-header"]],
    )

    @property
    def effective_engine(self) -> Engine:
        """The engine, or the default if the spec names none."""
        return self.engine or "Uvicorn"
