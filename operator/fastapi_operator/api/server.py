"""``spec.server``: the ASGI server and its workers."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from fastapi_operator.api.model import Arguments, Model, PathTemplates, UrlPath

Engine = Literal["Uvicorn", "Gunicorn", "Granian"]


class Probes(Model):
    """Probes of the kubelet. A probe without a path checks the app's port by TCP."""

    source: Literal["App", "Runtime"] | None = Field(
        default=None,
        description="Source of the responses. App: the app, on its port, by the paths below. "
        "Runtime: the fastapi-operator-runtime in the image, on a port of its own, apart from the "
        "event loop: a busy process stays ready, and a stuck one is restarted. Default: App.",
        examples=["Runtime"],
    )
    startup: UrlPath | None = Field(
        default=None,
        description="Path that returns 200 after the app has started. Default: TCP.",
        examples=["/startupz"],
    )
    readiness: UrlPath | None = Field(
        default=None,
        description="Path that returns 200 while the app accepts requests. Default: TCP.",
        examples=["/readyz"],
    )
    liveness: UrlPath | None = Field(
        default=None,
        description="Path that returns 200 unless the process must be restarted. It must not "
        "depend on the database. Default: TCP.",
        examples=["/livez"],
    )
    host: (
        Annotated[
            str,
            StringConstraints(
                pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?$", max_length=253
            ),
        ]
        | None
    ) = Field(
        default=None,
        description="Host header of the probes, for an app that refuses unknown hosts. Default: "
        "the first of exposure.hosts, else the pod's address.",
        examples=["shop.example.com"],
    )


class Server(Model):
    """The ASGI server that runs the app."""

    engine: Engine | None = Field(
        default=None,
        description="Server software. The image must contain it. Default: Uvicorn.",
        examples=["Uvicorn"],
    )
    worker_policy: Literal["Quota", "TwoNPlusOne", "Fixed"] | None = Field(
        default=None,
        description="How to derive the number of workers. Quota uses the CPU and memory of the "
        "pod, TwoNPlusOne uses 2n+1 for n cores, Fixed uses workers. Default: Quota.",
        examples=["Quota"],
    )
    workers: int | None = Field(
        default=None,
        ge=1,
        le=64,
        description="Number of worker processes in each pod. Requires workerPolicy Fixed. "
        "Default: derived.",
        examples=[2],
    )
    threads: int | None = Field(
        default=None,
        ge=1,
        le=1000,
        description="Number of threads in each process for def endpoints and blocking calls (AnyIO "
        "tokens). Default: derived.",
        examples=[40],
    )
    keep_alive_seconds: int | None = Field(
        default=None,
        ge=1,
        le=3600,
        description="Seconds that an idle connection stays open. Must exceed the idle timeout of "
        "the proxy. Default: derived.",
        examples=[75],
    )
    graceful_seconds: int | None = Field(
        default=None,
        ge=1,
        le=3600,
        description="Seconds that requests in flight may take at shutdown. Default: derived.",
        examples=[25],
    )
    probes: Probes | None = Field(
        default=None, description="Probes of the kubelet. Default: TCP probes."
    )
    root_path: UrlPath | None = Field(
        default=None,
        description="Path prefix under which a proxy serves the app. Default: none.",
        examples=["/shop"],
    )
    priorities: PathTemplates | None = Field(
        default=None,
        description="Path prefixes whose requests are rejected last under overload: the proxy and "
        "the fastapi-operator-runtime have a reserve for them. A parameter in braces is any "
        "segment. Default: none.",
        examples=[["/checkout", "/orders/{order_id}/payment"]],
    )
    extra_args: Arguments | None = Field(
        default=None,
        description="Additional arguments of the server's command. Default: none.",
        examples=[["--no-server-header"]],
    )

    @property
    def effective_root_path(self) -> str:
        """The root path without a trailing slash; empty for none."""
        return (self.root_path or "").rstrip("/")

    @property
    def effective_engine(self) -> Engine:
        """The engine, or the default if the spec names none."""
        return self.engine or "Uvicorn"
