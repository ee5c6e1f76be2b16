"""The diagnoses for given signals, and their order."""

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastapi_operator.api import fields
from fastapi_operator.api.service import Spec
from fastapi_operator.facts import Facts
from fastapi_operator.observability import bounds
from fastapi_operator.observability.diagnoses.rules import RULES, diagnose
from fastapi_operator.observability.signals import (
    MemoryKill,
    Planned,
    ProxyLog,
    Route,
    Signals,
    Threads,
)
from fastapi_operator.settings import Settings
from fastapi_operator.tuning.derive import derive
from tests.unit.observability.seen import HEALTHY, POD, lasting, part, pods, pool, signals
from tests.unit.services import service

FULL_THREADS = Threads(used=40, allowed=40, waiting=6)
WAITING = {"waits": lasting(0.08), "waiting": 2.0, "peak": 10}
LIMITED = dataclasses.replace(HEALTHY.planned, cpu_limit_millicores=1000)

# Signals for which a rule is the only match.
CASES: dict[str, Signals] = {
    "blocking-call": signals(app=pods(lag_p99=0.2, late=0.5)),
    "event-loop-busy": signals(app=pods(lag_p99=0.08, late=0.3, cpu=0.95)),
    "too-many-workers": signals(app=pods(throttled=0.6, workers=3), planned=LIMITED),
    "cpu-limit-too-low": signals(app=pods(throttled=0.1, lag_p99=0.3), planned=LIMITED),
    "threads-exhausted": signals(app=pods(threads=FULL_THREADS)),
    "threads-contend": signals(
        app=pods(lag_p99=0.08, late=0.3, cpu=0.95, threads=Threads(30, 40, 0))
    ),
    "pool-too-small": signals(app=pool(**WAITING)),
    "connection-held": signals(app=pool(**WAITING, holds=lasting(0.2))),
    "pooler-too-small": signals(
        app=pool(**WAITING, holds=lasting(0.2)), pooler=part("pooler", waiting=3)
    ),
    "database-saturated": signals(
        app=pool(**WAITING), database=part("database", active=9, busy=9, cpu=None)
    ),
    "memory-limit-too-low": signals(memory_kills=(MemoryKill("shop-a", 2),)),
    "keep-alive-race": signals(proxy=ProxyLog(1200, 9, 9)),
    "cache-too-small": signals(cache=part("cache", hits=500, misses=700, evicted=600)),
    "cache-misses": signals(cache=part("cache", hits=500, misses=700)),
    "cache-refuses-writes": signals(cache=part("cache", refused=40)),
    "cache-stampede": signals(
        app=pool(**WAITING),
        bursts=part("bursts", database=0.9, misses=0.9, peak_per_second=60),
    ),
    "cache-slow": signals(app=pods(cache=dataclasses.replace(POD.cache, durations=lasting(0.04)))),
    "pods-uneven": signals(
        app=(
            dataclasses.replace(POD, cpu=0.8, requests=lasting(0.02, 1800)),
            dataclasses.replace(POD, pod="shop-b", cpu=0.1, requests=lasting(0.02, 100)),
        )
    ),
    "cpu-starved": signals(app=pods(lag_p99=0.2, late=0.5, cpu_wait=0.4)),
    "overloaded": signals(app=pods(shed=60), shed_by_proxy=1080),
}


def rules_of(seen: Signals) -> list[str]:
    return [diagnosis.rule for diagnosis in diagnose(seen)]


def test_a_healthy_service_has_no_diagnosis() -> None:
    assert diagnose(HEALTHY) == ()


def test_every_rule_has_a_case() -> None:
    assert set(CASES) == {rule.name for rule in RULES}


@pytest.mark.parametrize("rule", CASES)
def test_a_rule_matches_only_its_signals(rule: str) -> None:
    assert rules_of(CASES[rule]) == [rule]


@pytest.mark.parametrize("rule", CASES)
def test_a_diagnosis_proposes_a_valid_value(rule: str) -> None:
    (found,) = diagnose(CASES[rule])
    assert found.effect > 0
    assert found.signals
    assert found.record()["rule"] == rule
    if found.field:
        path = found.field.removeprefix("spec.")
        # The field exists, and the proposed value is valid for it.
        fields.field_at(Spec, path)
        given = {"postgres": {}, "redis": {}}
        if path == "server.workers":
            given["server"] = {"workerPolicy": "Fixed"}
        service(**fields.with_value(given, fields.split(path), found.value))


@pytest.mark.parametrize(
    "absent", ["pooler", "database", "cache", "proxy", "bursts", "app", "routes"]
)
@pytest.mark.parametrize("rule", CASES)
def test_a_part_without_signals_never_fails_a_diagnosis(rule: str, absent: str) -> None:
    nothing: Any = () if absent in ("app", "routes") else None
    diagnose(dataclasses.replace(CASES[rule], **{absent: nothing}))


@pytest.mark.parametrize("field", ["cpu_wait", "throttled", "threads", "pool", "cache"])
@pytest.mark.parametrize("rule", CASES)
def test_a_missing_number_never_fails_a_diagnosis(rule: str, field: str) -> None:
    case = CASES[rule]
    blind = dataclasses.replace(
        case, app=tuple(dataclasses.replace(pod, **{field: None}) for pod in case.app)
    )
    diagnose(blind)


def test_blocking_is_distinguished_from_waiting_for_a_cpu() -> None:
    assert rules_of(signals(app=pods(lag_p99=0.2, late=0.5, cpu_wait=None))) == ["blocking-call"]


def test_a_pool_is_not_reported_if_the_event_loop_is_blocked() -> None:
    blocked = pods(lag_p99=0.2, late=0.5, pool=pool(**WAITING)[0].pool)
    assert rules_of(signals(app=blocked)) == ["blocking-call"]


def test_a_pool_with_a_much_larger_effect_than_a_late_loop_is_reported_as_well() -> None:
    full = dataclasses.replace(pool(**WAITING)[0].pool, waiting=12.0)
    starved = pods(lag_p99=0.13, late=0.02, cpu_wait=0.1, pool=full)
    assert rules_of(signals(app=starved)) == ["pool-too-small", "cpu-starved"]


def test_a_cache_with_few_lookups_is_not_diagnosed() -> None:
    fills = part("cache", hits=10, misses=40)
    assert rules_of(signals(cache=fills)) == []


def test_one_slow_cache_call_in_fifty_is_not_diagnosed() -> None:
    calls = lasting(0.001, 980) + lasting(0.04, 20)
    assert rules_of(signals(app=pods(cache=dataclasses.replace(POD.cache, durations=calls)))) == []


def test_few_slow_cache_calls_have_less_effect_than_many_misses() -> None:
    calls = lasting(0.015, 1100) + lasting(0.04, 100)
    seen = signals(
        app=pods(cache=dataclasses.replace(POD.cache, durations=calls)),
        cache=part("cache", hits=500, misses=7000, evicted=6000),
    )
    assert rules_of(seen) == ["cache-too-small", "cache-slow"]


def test_threads_waiting_for_connections_are_not_reported_as_too_few() -> None:
    both = pods(threads=FULL_THREADS, pool=pool(**WAITING)[0].pool)
    assert rules_of(signals(app=both)) == ["pool-too-small"]


def test_more_connections_are_never_proposed_for_a_saturated_database() -> None:
    full = signals(
        app=pool(**WAITING),
        pooler=part("pooler", waiting=5),
        database=part("database", active=9, busy=9),
    )
    assert rules_of(full) == ["database-saturated"]


def test_statements_waiting_for_a_lock_do_not_saturate_the_database() -> None:
    waiting = signals(pooler=part("pooler", waiting=5), database=part("database", active=9, busy=1))
    assert rules_of(waiting) == ["pooler-too-small"]


def test_more_connections_are_proposed_for_an_external_database() -> None:
    planned = dataclasses.replace(HEALTHY.planned, database_mode="External", max_connections=40)
    (found,) = diagnose(signals(pooler=part("pooler", waiting=3), planned=planned))
    assert (found.field, found.value) == ("spec.postgres.maxConnections", 50)


def test_the_largest_effect_comes_first() -> None:
    small = signals(app=pods(threads=FULL_THREADS), proxy=ProxyLog(1200, 3, 3))
    large = signals(app=pods(threads=FULL_THREADS), proxy=ProxyLog(1200, 90, 90))
    assert rules_of(small) == ["threads-exhausted", "keep-alive-race"]
    assert rules_of(large) == ["keep-alive-race", "threads-exhausted"]


@given(st.sampled_from(sorted(CASES)), st.sampled_from(sorted(CASES)))
def test_two_causes_are_ordered_by_their_effects(one: str, other: str) -> None:
    merged = dataclasses.replace(
        CASES[one],
        **{
            field.name: getattr(CASES[other], field.name)
            for field in dataclasses.fields(Signals)
            if getattr(CASES[one], field.name) == getattr(HEALTHY, field.name)
        },
    )
    found = diagnose(merged)
    assert found
    # An overload can be due to any cause.
    effects = [diagnosis.effect for diagnosis in found if diagnosis.rule != "overloaded"]
    assert effects == sorted(effects, reverse=True)
    assert "overloaded" not in [diagnosis.rule for diagnosis in found[:-1]]


def test_an_overload_shows_who_rejects_and_what_would_serve_all() -> None:
    (found,) = diagnose(CASES["overloaded"])
    assert found.diagnosis.startswith("53 % of the requests are rejected with 503")
    assert found.signals == {
        "offered": "76.0 requests/s",
        "served": "36.0/s",
        "rejected by the proxy": "36.0/s",
        "rejected by processes and their pools": "4.0/s",
    }
    assert (found.field, found.value) == ("spec.scaling.minReplicas", 5)
    few = signals(app=pods(shed=4), shed_by_proxy=3)
    assert diagnose(few) == ()


# --- unknown --------------------------------------------------------------------------------------

BROKEN = Route("POST /orders", lasting(0.02, 200), 40)
SLOW = Route("GET /report", lasting(4.0, 100), 0)


@pytest.mark.parametrize(
    ("seen", "outlier"),
    [
        (signals(routes=(*HEALTHY.routes, BROKEN)), "5xx of POST /orders"),
        (signals(routes=(*HEALTHY.routes, SLOW)), "p95 of GET /report"),
        (
            signals(app=(*HEALTHY.app, dataclasses.replace(POD, pod="c", requests=lasting(0.4)))),
            "p95 of pod c",
        ),
        (signals(app=pods(lag_p99=0.2, late=0.2, cpu=0.7)), "event loop lag of pod shop-a, p99"),
        (signals(proxy=ProxyLog(100, 60, 0)), "502 of the proxy"),
    ],
)
def test_outliers_without_a_matching_rule_are_unknown(seen: Signals, outlier: str) -> None:
    (found,) = diagnose(seen)
    assert found.rule == "unknown"
    assert outlier in found.signals
    assert not found.field


def test_few_failures_are_within_the_objective() -> None:
    few = Route("GET /items", lasting(0.02, 100_000), 50)
    seen = signals(routes=(few,), app=pods(requests=lasting(0.02, 50_000)))
    assert diagnose(seen) == ()


def test_the_bound_of_slow_follows_the_declared_p95() -> None:
    assert Planned.of(plan()).slow_seconds == bounds.SLOW_SECONDS
    assert Planned.of(plan(traffic={"p95Milliseconds": 2000})).slow_seconds == 8
    promised = {"slo": {"latencyMilliseconds": 300}}
    assert Planned.of(plan(observability=promised)).slow_seconds <= 0.3


def test_rules_use_planned_values() -> None:
    planned = Planned.of(plan(redis={"memory": "512Mi"}, postgres={}, command=["python"]))
    assert planned.cache_memory_bytes == 512 * 2**20
    assert (planned.database_mode, planned.cache_mode) == ("Managed", "Managed")
    assert planned.own_command
    assert planned.keep_alive_seconds > planned.proxy_idle_seconds


def plan(**spec: Any) -> Any:
    return derive(service(**spec), Settings(), Facts())
