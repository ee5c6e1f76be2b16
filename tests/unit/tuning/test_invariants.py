"""Invariants of the plan of every service."""

import dataclasses
import math
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fastapi_operator.api.parse import parse_service
from fastapi_operator.api.service import FastAPIService
from fastapi_operator.facts import Facts
from fastapi_operator.problems import Severity
from fastapi_operator.settings import Settings
from fastapi_operator.tuning.budget import pods_at_peak
from fastapi_operator.tuning.decision import Decision, Source
from fastapi_operator.tuning.derive import derive
from fastapi_operator.tuning.plan import Plan
from tests.unit.services import SPECS, body, service


def planned(spec: dict[str, Any]) -> tuple[FastAPIService, Plan]:
    parsed, problems = parse_service(body(spec))
    assert parsed is not None, problems
    return parsed, derive(parsed, Settings(), Facts())


def errors(plan: Plan) -> list[str]:
    return [problem.path for problem in plan.problems if problem.severity is Severity.ERROR]


def workers_follow_the_pods_cpu_and_memory(spec: dict[str, Any], plan: Plan) -> None:
    workers, policy = plan.server.workers, spec.get("server", {}).get("workerPolicy")
    cores = max(1, (plan.compute.cpu_limit_millicores.value or _requested(plan)) // 1000)
    assert workers.value >= 1
    if policy == "TwoNPlusOne":
        assert workers.value == min(2 * cores + 1, 64)
    elif policy != "Fixed":
        assert workers.value <= max(1, cores)
        if workers.value > 1:
            memory = workers.inputs["worker_memory_bytes"]
            assert memory >= 80 * 2**20
            needed = workers.value * 1.2 * memory + 40 * 2**20
            assert needed <= 0.8 * plan.compute.memory_limit_bytes.value


def _requested(plan: Plan) -> int:
    return plan.compute.cpu_request_millicores.value


def connections_fit_or_the_service_is_refused(_: dict[str, Any], plan: Plan) -> None:
    if plan.budget is None or errors(plan):
        return
    scaling = plan.scaling
    pods = scaling.max_replicas.value + math.ceil(
        scaling.max_replicas.value * int(scaling.max_surge.value.rstrip("%")) / 100
    )
    assert plan.pool is not None
    assert plan.database is not None
    asked = pods * plan.server.workers.value
    asked *= plan.pool.size.value + plan.pool.max_overflow.value
    for worker in plan.background:
        asked += worker.peak_pods.value * worker.processes.value * worker.connections.value
    for schedule in plan.schedules:
        asked += schedule.runs.value * schedule.connections.value
    granted = plan.database.max_connections.value - plan.database.reserved_connections.value
    if plan.pooler is None:
        assert asked <= granted
        return
    surviving = max(1, plan.pooler.instances.value - 1)
    assert asked <= surviving * plan.pooler.max_client_connections.value
    assert plan.pooler.instances.value * plan.pooler.max_db_connections.value <= granted


def timeouts_are_a_ladder_from_the_pool_outwards(_: dict[str, Any], plan: Plan) -> None:
    if plan.pool and plan.database:
        ladder = [
            plan.pool.timeout_seconds.value,
            *([plan.pooler.query_wait_timeout_seconds.value] if plan.pooler else []),
            plan.database.statement_timeout_seconds.value,
        ]
        if plan.proxy and plan.proxy.read_timeout_seconds.source is Source.DERIVED:
            ladder.append(plan.proxy.read_timeout_seconds.value)
        assert ladder == sorted(set(ladder))
    if plan.proxy and plan.server.keep_alive_seconds.value > 1:
        app = plan.server.keep_alive_seconds.value
        assert plan.proxy.upstream_keep_alive_seconds.value < app


def a_pod_may_finish_its_requests_before_it_is_killed(_: dict[str, Any], plan: Plan) -> None:
    stop = plan.server.pre_stop_seconds.value + plan.server.graceful_seconds.value
    assert stop < plan.server.grace_seconds.value
    for worker in plan.background:
        assert worker.graceful_seconds.value < worker.grace_seconds.value


def a_cache_evicts_before_its_limit(_: dict[str, Any], plan: Plan) -> None:
    if plan.cache:
        assert plan.cache.maxmemory_bytes.value <= 0.75 * plan.cache.memory_limit_bytes.value
        assert plan.cache.policy.value != "noeviction"


def a_queue_never_evicts_and_leaves_room_to_rewrite_its_log(_: dict[str, Any], plan: Plan) -> None:
    if plan.queue:
        assert plan.queue.policy.value == "noeviction"
        assert 2 * plan.queue.maxmemory_bytes.value <= plan.queue.memory_limit_bytes.value
        if plan.queue.storage_bytes.source is Source.DERIVED:
            assert plan.queue.storage_bytes.value >= 4 * plan.queue.maxmemory_bytes.value


def all_processes_at_peak_fit_the_clients_of_the_cache(_: dict[str, Any], plan: Plan) -> None:
    if plan.cache_pool and plan.cache_pool.size.value > 1:
        share = max(plan.canary.steps.value) if plan.canary else 0
        scaling = plan.scaling
        pods = pods_at_peak(scaling.max_replicas.value, scaling.max_surge.value, share)
        asked = pods * plan.server.workers.value * plan.cache_pool.size.value
        assert asked <= plan.cache_pool.max_clients.value


def the_headline_fits_the_status(_: dict[str, Any], plan: Plan) -> None:
    headline = plan.headline()
    assert len(headline) <= 24
    assert all(len(decision.reason) <= 300 for decision in headline)


def every_decision_is_named_by_its_path_and_gives_a_whole_reason(
    _: dict[str, Any], plan: Plan
) -> None:
    for decision in plan.decisions():
        section, *entry, field = decision.name.split(".")
        part = getattr(plan, section)
        if entry:
            (part,) = [process for process in part if process.name == entry[0]]
        assert getattr(part, field) is decision
        assert decision.reason
        assert "{" not in decision.reason
        assert "None" not in decision.reason


INVARIANTS: tuple[Callable[[dict[str, Any], Plan], None], ...] = (
    workers_follow_the_pods_cpu_and_memory,
    connections_fit_or_the_service_is_refused,
    timeouts_are_a_ladder_from_the_pool_outwards,
    a_pod_may_finish_its_requests_before_it_is_killed,
    a_cache_evicts_before_its_limit,
    a_queue_never_evicts_and_leaves_room_to_rewrite_its_log,
    all_processes_at_peak_fit_the_clients_of_the_cache,
    the_headline_fits_the_status,
    every_decision_is_named_by_its_path_and_gives_a_whole_reason,
)


@given(spec=SPECS)
@example(spec={"image": "a:1", "resources": {"limits": {"cpu": "2", "memory": "512Mi"}}})
@example(spec={"image": "a:1", "resources": {"limits": {"cpu": "4", "memory": "1Gi"}}})
@example(spec={"image": "a:1", "resources": {"requests": {"cpu": "16"}}})
def test_every_plan_holds(spec: dict[str, Any]) -> None:
    _, plan = planned(spec)
    for invariant in INVARIANTS:
        invariant(spec, plan)


@given(
    SPECS,
    st.sampled_from(
        [
            "redis",
            "proxy",
            "scaling",
            "traffic",
            "server",
            "resources",
            "background",
            "schedules",
        ]
    ),
)
def test_no_field_of_the_app_moves_a_size_of_the_database(
    spec: dict[str, Any], section: str
) -> None:
    _, plan = planned(spec)
    _, without = planned({name: value for name, value in spec.items() if name != section})
    assert _values(plan.database) == _values(without.database)
    assert _values(plan.postgres) == _values(without.postgres)


@given(SPECS)
def test_a_higher_ceiling_never_enlarges_the_pool_of_a_process(spec: dict[str, Any]) -> None:
    low, high = {"maxReplicas": 4}, {"maxReplicas": 400}
    _, few = planned(spec | {"scaling": low})
    _, many = planned(spec | {"scaling": high})
    if few.pool is not None and many.pool is not None:
        assert many.pool.size.value <= few.pool.size.value
        # With a pooler the pool does not depend on the number of processes.
        assert few.pooler is None or _values(few.pool) == _values(many.pool)


@given(st.integers(100, 64_000), st.integers(0, 64_000))
def test_more_cpu_never_means_fewer_workers(cpu: int, more: int) -> None:
    workers = [
        planned({"image": "a:1", "resources": {"limits": {"cpu": f"{amount}m"}}})[1].server.workers
        for amount in (cpu, cpu + more)
    ]
    assert workers[0].value <= workers[1].value


@given(SPECS)
@settings(max_examples=50)
def test_deriving_twice_gives_the_same_plan(spec: dict[str, Any]) -> None:
    assert planned(spec)[1] == planned(spec)[1]


def test_an_error_of_the_budget_names_values_that_fit() -> None:
    two = {"backup": {}, "pooler": {"instances": 2}}
    spec = {"postgres": two, "scaling": {"minReplicas": 2, "maxReplicas": 1000}}
    plan = derive(service(**spec), Settings(), Facts())
    (problem,) = plan.problems
    assert problem.path == "spec.scaling.maxReplicas"
    assert problem.message.endswith(
        "the pooler accepts 10000: 10000 for each instance at most, with one lost"
    )
    remedy = "set maxReplicas to at most 800, or set spec.postgres.pooler.instances to 3"
    assert problem.remedy == remedy
    for smaller in (
        {"postgres": two, "scaling": {"maxReplicas": 800}},
        {"postgres": {"backup": {}, "pooler": {"instances": 3}}, "scaling": {"maxReplicas": 1000}},
        {"postgres": {"backup": {}}, "scaling": {"maxReplicas": 1000}},
    ):
        assert derive(service(**smaller), Settings(), Facts()).problems == ()


@pytest.mark.parametrize(
    ("spec", "clients", "memory"),
    [
        ({"scaling": {"replicas": 2}}, 1000, 128),
        (
            {"resources": {"limits": {"cpu": "4", "memory": "4Gi"}}, "scaling": {"replicas": 24}},
            2000,
            160,
        ),
        ({"scaling": {"maxReplicas": 500}}, 7000, 320),
    ],
)
def test_clients_and_memory_of_the_pooler_follow_the_processes(
    spec: dict[str, Any], clients: int, memory: int
) -> None:
    plan = derive(service(**spec, postgres={"backup": {}}), Settings(), Facts())
    assert plan.problems == ()
    assert plan.pooler is not None
    assert plan.pooler.max_client_connections.value == clients
    assert plan.pooler.memory_limit_bytes.value == memory * 2**20


def test_more_instances_share_clients_that_one_cannot_accept() -> None:
    resources = {"limits": {"cpu": "8", "memory": "8Gi"}}
    spec = {"postgres": {"backup": {}}, "resources": resources, "scaling": {"maxReplicas": 300}}
    plan = derive(service(**spec), Settings(), Facts())
    assert plan.problems == ()
    assert plan.budget is not None
    assert plan.budget.demand == 30_000
    assert plan.pooler is not None
    assert plan.pooler.instances.value == 4


# The limits that refuse a valid service: of its fields, of the database, and of one thread.
_TRUE_LIMITS = (
    re.compile(r"the request .* exceeds the limit"),
    re.compile(r"does not hold \d+ (workers|processes) of \w+ and their"),
    re.compile(r"the database accepts \d+$"),
    re.compile(r"server connections exceed the \d+ that the database has for them$"),
    re.compile(r"the pooler accepts \d+: 10000 for each instance at most, with one lost$"),
    re.compile(r"there is neither a proxy nor a Gateway, which would divide the requests"),
    re.compile(r"does not count the requests of each version, and the app's metrics are disabled"),
    re.compile(r"\w+ is not supported with .*, which divides each request by itself$"),
)


@given(SPECS)
def test_a_valid_service_is_refused_only_by_a_true_limit(spec: dict[str, Any]) -> None:
    _, plan = planned(spec)
    for problem in plan.problems:
        if problem.severity is Severity.ERROR:
            assert any(limit.search(problem.message) for limit in _TRUE_LIMITS), problem
            assert problem.remedy
    budget = plan.budget
    if budget is None or plan.pooler is None or not errors(plan):
        return
    # Unless the spec fixes the number of instances, the most that the database allows were tried.
    refused = [problem for problem in plan.problems if "the pooler accepts" in problem.message]
    if refused and plan.pooler.instances.source is Source.DERIVED:
        assert plan.database is not None
        assert plan.pooler.max_client_connections.value == 10_000
        most = max(1, min(16, plan.database.service_connections.value))
        assert plan.pooler.instances.value == most


def test_background_processes_and_schedules_claim_their_share_of_the_budget() -> None:
    worker = {"name": "worker", "command": ["w"], "replicas": 3, "processes": 4}
    beat = {"name": "beat", "command": ["b"], "singleton": True, "connectionsPerProcess": 1}
    report = {"name": "report", "command": ["r"], "schedule": "@daily", "concurrency": "Allow"}
    spec = {"postgres": {"backup": {}}, "background": [worker, beat], "schedules": [report]}
    plan = derive(service(**spec), Settings(), Facts())
    assert plan.budget is not None
    claims = [(claim.name, claim.processes, claim.per_process) for claim in plan.budget.claims]
    # A rollout doubles the worker, but not the singleton. A run with Allow may overlap another.
    assert claims == [("app", 13, 10), ("worker", 24, 2), ("beat", 1, 1), ("report", 2, 2)]
    assert plan.budget.demand == 130 + 48 + 1 + 4


def test_background_processes_leave_the_app_fewer_pods() -> None:
    traffic = {"peakRequestsPerSecond": 500_000}
    postgres = {"backup": {}, "pooler": {"instances": 2}}
    alone = derive(service(postgres=postgres, traffic=traffic), Settings(), Facts())
    worker = {"name": "worker", "command": ["w"], "replicas": 20, "processes": 10}
    worker |= {"connectionsPerProcess": 20}
    spec = {"postgres": postgres, "traffic": traffic, "background": [worker]}
    beside = derive(service(**spec), Settings(), Facts())
    assert alone.scaling.max_replicas.value == 800
    # 20 pods, doubled by a rollout, of 10 processes with 20 connections leave 2000 of 10000.
    assert beside.scaling.max_replicas.value == 160
    assert "8000 from background processes" in beside.scaling.max_replicas.reason
    (problem,) = beside.problems
    assert "25000 at once; the capacity of 160 pods is 10240" in problem.message


def test_a_broken_budget_names_the_process_that_claims_most() -> None:
    worker = {"name": "worker", "command": ["w"], "replicas": 100, "processes": 16}
    worker |= {"connectionsPerProcess": 20}
    postgres = {"backup": {}, "pooler": {"instances": 2}}
    plan = derive(service(postgres=postgres, background=[worker]), Settings(), Facts())
    (problem,) = plan.problems
    assert problem.path == "spec.background[worker]"
    assert "3200 processes of worker at 20 and 3 processes of app at 10" in problem.message
    assert problem.remedy.startswith("lower replicas, processes or connectionsPerProcess of worker")


def _values(section: Any) -> dict[str, Any] | None:
    if section is None:
        return None
    decisions: list[Decision[Any]] = [
        getattr(section, field.name) for field in dataclasses.fields(section)
    ]
    return {decision.name: decision.value for decision in decisions}
