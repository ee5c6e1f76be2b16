"""An operator in a thread of the test process, with an event loop of its own.

Kopf, when it ends, cancels every task of its loop that it did not see at its start: a loop that
it shared with pytest would lose the test itself.
"""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

import structlog

from fastapi_operator.cli.run import Options, operate
from fastapi_operator.reconcile.loop.canary import Looks
from fastapi_operator.reconcile.plan.desired_state import BuildDesiredState
from fastapi_operator.settings import Settings

# A traceback with the values of all variables takes seconds of the operator's event loop.
structlog.configure(
    processors=[
        *structlog.get_config()["processors"][:-1],
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback),
    ]
)


class RunningOperator:
    """Starts with the ``with`` block, or by hand, and stops cleanly."""

    def __init__(
        self,
        kubeconfig: Path,
        *,
        namespaces: tuple[str, ...],
        build: BuildDesiredState,
        looks: Looks | None = None,
        **options: object,
    ) -> None:
        settings = Settings(
            watch_namespaces=namespaces,
            workers=8,
            **options.pop("settings", {}),  # type: ignore[arg-type]
        )
        self._options = Options(
            settings=settings,
            kubeconfig=str(kubeconfig),
            health_port=0,
            **options,  # type: ignore[arg-type]
        )
        self._build = build
        self._looks = looks
        self._thread: threading.Thread | None = None
        self._stop: Callable[[], None] = lambda: None
        self.error: BaseException | None = None

    def start(self) -> "RunningOperator":
        """Starts it; it lists and watches a moment later."""
        started = threading.Event()

        async def main() -> None:
            stop, loop = asyncio.Event(), asyncio.get_running_loop()
            self._stop = lambda: loop.call_soon_threadsafe(stop.set)
            started.set()
            await operate(self._options, build=self._build, looks=self._looks, stop=stop)

        def body() -> None:
            try:
                asyncio.run(main())
            except BaseException as error:
                self.error = error
                started.set()

        self._thread = threading.Thread(target=body, name="operator", daemon=True)
        self._thread.start()
        assert started.wait(10)
        return self

    def stop(self) -> None:
        """Stops it and waits until it has."""
        if self._thread is None:
            return
        if self.error is None:
            self._stop()
        self._thread.join(30)
        assert not self._thread.is_alive(), "the operator did not stop within 30 s"
        self._thread = None
        if self.error is not None:
            raise self.error

    def __enter__(self) -> "RunningOperator":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
