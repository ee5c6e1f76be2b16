from typing import Any

from fastapi_operator.facts import SCALED_OBJECT, Facts
from fastapi_operator.resources import templates
from fastapi_operator.resources.build import build
from fastapi_operator.resources.footprint import Footprint, footprints
from fastapi_operator.resources.prices import Prices
from fastapi_operator.settings import Settings
from fastapi_operator.tuning.derive import derive
from tests.unit.services import service

SHOP = service(
    redis={},
    postgres={"storage": {"size": "50Gi"}},
    queue={"persistence": {"size": "4Gi"}},
    scaling={"minReplicas": 2, "maxReplicas": 6},
)
PLAN = derive(SHOP, Settings(), Facts())


def test_the_footprint_counts_pods_requests_and_volumes() -> None:
    least, most = footprints(SHOP, PLAN, Settings(), Facts())

    assert most.pods - least.pods == 4
    assert most.cpu_millicores - least.cpu_millicores == 4 * 500
    assert most.memory_bytes - least.memory_bytes == 4 * PLAN.compute.memory_request_bytes.value
    assert least.storage_bytes == most.storage_bytes == 54 * 2**30


def test_the_largest_footprint_includes_the_pods_of_a_canary() -> None:
    def largest(**spec: Any) -> Footprint:
        given = service(scaling={"minReplicas": 2, "maxReplicas": 6}, **spec)
        return footprints(given, derive(given, Settings(), Facts()), Settings(), Facts())[1]

    alone, both = largest(), largest(rollout={"canary": {}})
    assert both.pods - alone.pods == 3
    # Requests of three pods of the app. The proxy counts without a further container.
    assert both.cpu_millicores - alone.cpu_millicores == 3 * 500


def test_a_scaled_worker_counts_with_its_fewest_and_its_most_pods() -> None:
    scaling = {"listName": "mail", "maxReplicas": 3}
    worker = {"name": "worker", "command": ["work"], "scaling": scaling}
    given = service(queue={}, background=[worker], scaling={"replicas": 1})
    facts = Facts(apis=frozenset({SCALED_OBJECT}))
    least, most = footprints(given, derive(given, Settings(), facts), Settings(), facts)
    assert most.pods - least.pods == 3


def test_files_that_are_not_rendered_change_only_their_names() -> None:
    objects = build(SHOP, PLAN, Settings(), Facts())
    with templates.unrendered():
        unrendered = build(SHOP, PLAN, Settings(), Facts())

    assert len(objects) == len(unrendered)
    for whole, empty in zip(objects, unrendered, strict=True):
        assert whole.key.kind == empty.key.kind
    # And afterwards they are printed again.
    assert build(SHOP, PLAN, Settings(), Facts()) == objects


def test_the_monthly_cost_is_the_requests_times_the_prices() -> None:
    prices = Prices.model_validate(
        {"currency": "EUR", "cpuCoreMonth": 20, "memoryGibMonth": 3, "storageGibMonth": 0.5}
    )
    size = Footprint(pods=3, cpu_millicores=1500, memory_bytes=2 * 2**30, storage_bytes=10 * 2**30)

    assert prices.month(size) == 30 + 6 + 5
