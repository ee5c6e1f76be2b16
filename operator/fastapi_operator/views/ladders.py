"""The ladders of a plan: durations that must be in order, or that follow each other."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from fastapi_operator.tuning.decision import Decision
from fastapi_operator.tuning.plan import Plan
from fastapi_operator.views.charts import Rung


@dataclass(frozen=True)
class Step:
    """A bar of a ladder, and the number that it shows.

    Attributes:
        rung: The bar.
        reason: Why it is as long.
        number: The name of the number; empty if the plan does not decide it.
    """

    rung: Rung
    reason: str
    number: str = ""


@dataclass(frozen=True)
class Ladder:
    """Durations on one axis.

    Attributes:
        key: Its name in the page.
        title: The caption.
        lead: Why their order matters.
        steps: The durations; empty if the service has none.
    """

    key: str
    title: str
    lead: str
    steps: tuple[Step, ...]

    @property
    def maximum(self) -> float:
        """The end of the longest bar."""
        return max((step.rung.end for step in self.steps), default=0.0)


def ladders(plan: Plan) -> tuple[Ladder, ...]:
    """Returns the ladders of a plan, the most important one first."""
    return (
        Ladder(
            "timeouts",
            "Timeouts of a request",
            "From the inside outwards, each wait is longer than the one before it. So the error "
            "names its cause: the first timeout that expires belongs to the part that is slow.",
            tuple(_ascending(_timeouts(plan))),
        ),
        Ladder(
            "keep-alive",
            "Idle connections",
            "The side that sends requests closes an idle connection first. Otherwise a request "
            "meets a socket that is closing, and the client gets a 502.",
            (
                *_ascending(_towards_the_app(plan)),
                *_ascending(_towards_the_clients(plan)),
            ),
        ),
        Ladder(
            "stop",
            "A pod stops",
            "A pod leaves the load balancers, finishes its requests, and ends before the kubelet "
            "kills it.",
            tuple(_stop(plan)),
        ),
        Ladder(
            "connections",
            "Lives of database connections",
            "Connections are replaced now and then, so that they spread over new pods and their "
            "memory is freed.",
            tuple(_lives(plan)),
        ),
    )


def _step(
    owner: str, what: str, decision: Decision[Any], *, start: float = 0.0, bound: bool = False
) -> Step:
    end = start + float(decision.value)
    return Step(Rung(owner, what, end, start, bound=bound), decision.reason, decision.name)


def _ascending(steps: Iterable[Step]) -> Iterator[Step]:
    """Marks each duration that is not longer than the one before it."""
    before = 0.0
    for step in steps:
        yield replace(step, rung=replace(step.rung, fits=step.rung.end > before))
        before = step.rung.end


def _timeouts(plan: Plan) -> Iterator[Step]:
    if plan.pool is not None:
        yield _step("App", "for a pooled connection", plan.pool.timeout_seconds)
    if plan.pooler is not None:
        seconds = plan.pooler.query_wait_timeout_seconds
        yield _step("PgBouncer", "for a server connection", seconds)
    if plan.database is not None:
        seconds = plan.database.statement_timeout_seconds
        yield _step("PostgreSQL", "for the end of a statement", seconds)
    if plan.proxy is not None:
        yield _step(_proxy(plan), "for the app's response", plan.proxy.read_timeout_seconds)
    if plan.gateway is not None:
        for what, decision in (
            ("for the proxy's response", plan.gateway.backend_request_seconds),
            ("for the whole request", plan.gateway.request_seconds),
        ):
            # 0 seconds are no limit.
            if decision is not None and decision.value:
                yield _step("Gateway", what, decision)


def _towards_the_app(plan: Plan) -> Iterator[Step]:
    if plan.proxy is not None:
        seconds = plan.proxy.upstream_keep_alive_seconds
        yield _step(_proxy(plan), "closes, towards the app", seconds)
    if plan.server.keep_alive_seconds.value:
        yield _step("App", "keeps", plan.server.keep_alive_seconds, bound=plan.proxy is not None)


def _towards_the_clients(plan: Plan) -> Iterator[Step]:
    if plan.proxy is None:
        return
    seconds = plan.proxy.client_keep_alive_seconds
    edge = seconds.inputs.get("edge_idle_seconds")
    if edge:
        reason = "the load balancer in front of the proxy; spec.exposure.idleTimeoutSeconds sets it"
        yield Step(Rung("Load balancer", "closes, towards the proxy", float(edge)), reason)
    yield _step(_proxy(plan), "keeps, towards clients", seconds, bound=bool(edge))


def _stop(plan: Plan) -> Iterator[Step]:
    server = plan.server
    leave, finish = server.pre_stop_seconds, server.graceful_seconds
    yield _step("Load balancers", "forget the pod", leave)
    yield _step("App", "finishes its requests", finish, start=float(leave.value))
    killed = _step("Kubelet", "kills the pod after", server.grace_seconds, bound=True)
    fits = killed.rung.end >= leave.value + finish.value
    yield replace(killed, rung=replace(killed.rung, fits=fits))


def _lives(plan: Plan) -> Iterator[Step]:
    if plan.pool is not None:
        yield _step("App", "replaces one after", plan.pool.recycle_seconds)
    if plan.pooler is not None:
        yield _step("PgBouncer", "closes one idle for", plan.pooler.server_idle_seconds)
        yield _step("PgBouncer", "replaces one after", plan.pooler.server_lifetime_seconds)


def _proxy(plan: Plan) -> str:
    proxy = plan.spec.proxy
    engine = (proxy.engine if proxy is not None else None) or "Nginx"
    return "nginx" if engine == "Nginx" else str(engine)
