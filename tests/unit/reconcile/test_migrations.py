"""Which Job runs a migration, what must finish before it, and what proves its success."""

import base64
from dataclasses import replace
from typing import Any

import pytest

from fastapi_operator.reconcile.observe.attempt import Attempt, pod_has_started
from fastapi_operator.reconcile.observe.observed import Child, Observed, ReleaseRecord
from fastapi_operator.reconcile.observe.references import hash_values
from fastapi_operator.reconcile.plan.database import (
    Database,
    find_sharing,
    identify_database,
    keyed_hash,
)
from fastapi_operator.reconcile.plan.desired_state import DesiredState
from fastapi_operator.reconcile.plan.migrations import (
    Migration,
    find_migration,
    hash_inputs,
    migration_of,
)
from fastapi_operator.reconcile.plan.release import next_record
from fastapi_operator.resources.access import Address
from fastapi_operator.resources.desired import ObjectKey
from tests.unit.reconcile.worlds import FAILED, OWNER, UNREADY, child, children, database, migration

WANTED = [*database(), migration("r1", serviceAccountName="a")]
INPUTS = hash_inputs(WANTED[-1], {})
KEY = migration_of("db", "r1")


def attempt(name: str, key: str = KEY, inputs: str = INPUTS, **changes: Any) -> Child:
    started = changes.pop("started", False)
    facts = Attempt("r1", key, inputs, "", started)
    return replace(child(migration(name)), attempt=facts, **changes)


def found(*jobs: Child, record: ReleaseRecord | None = None, **options: Any) -> Migration:
    observed = Observed(children(*jobs), record)
    wanted = find_migration(
        WANTED, observed, OWNER, **{"request": "r1", "database": "db", **options}
    )
    assert wanted is not None
    return wanted


def test_the_name_of_the_job_has_the_database() -> None:
    assert found().job.name == f"shop-migrate-{KEY}"
    assert found(database="other").job.name != found().job.name
    assert found(database=None).job.name == "shop-migrate-r1"


def test_a_failure_with_the_same_inputs_counts_and_with_others_does_not() -> None:
    failed = attempt(KEY, health=FAILED)
    assert found(failed).job == failed.key
    other = replace(failed, attempt=Attempt("r1", KEY, "other"))
    again = found(other)
    assert again.job != failed.key
    assert again.older == ()
    # Both failed: the one with the inputs of today counts.
    assert found(other, attempt(again.job.name[13:], health=FAILED)).job == again.job


def test_a_success_counts_with_any_inputs() -> None:
    done = attempt(KEY, inputs="other")
    assert (found(done).succeeded, found(done).job) == (True, done.key)


def test_a_job_that_runs_is_not_replaced_and_one_that_never_started_is() -> None:
    running = attempt(KEY, inputs="other", health=UNREADY, started=True)
    assert (found(running).job, found(running).older) == (running.key, ())
    stuck = attempt(KEY, inputs="other", health=UNREADY)
    assert (found(stuck).superseded, found(stuck).blocker) == ((stuck,), stuck)
    assert found(stuck).job != stuck.key


def test_the_job_of_an_older_operator_counts_until_a_record_has_a_database() -> None:
    old = replace(child(migration("r1")), attempt=Attempt())
    assert found(old).succeeded
    assert not found(old, record=ReleaseRecord({}, (), 1, database="db0")).succeeded
    failed = replace(old, health=FAILED)
    assert (found(failed).job, found(failed).succeeded) == (old.key, False)


def test_a_job_of_a_former_service_proves_nothing() -> None:
    assert not found(attempt(KEY, owner_uid="uid-former")).succeeded


def test_an_older_record_is_adopted_once_for_the_database_of_today() -> None:
    record = ReleaseRecord({"image": "1"}, ("r0", "r1"), 4)
    wanted = found(record=record)
    assert wanted.succeeded
    new = next_record(record, spec={"image": "1"}, migration=wanted, database="db", volumes={})
    assert new == ReleaseRecord({"image": "1"}, (migration_of("db", "r0"), KEY), 5, database="db")
    assert new is not None
    assert found(record=new).succeeded
    assert not found(record=new, database="other").succeeded
    assert (
        next_record(new, spec={"image": "1"}, migration=wanted, database="db", volumes={}) is None
    )


def test_another_restore_source_is_another_database_and_its_removal_is_not() -> None:
    wanted, claim = database(), child(database()[1])
    state = DesiredState((), tuple(wanted), restore="dumps/a")
    observed = Observed(children(claim))
    first = identify_database(state, observed, OWNER)
    assert first.volumes == {"PersistentVolumeClaim/shop-db": claim.uid}
    record = ReleaseRecord({}, (), 1, database=first.identity, volumes=first.volumes)
    known = replace(observed, release=record)

    def identity(restore: str) -> str | None:
        return identify_database(replace(state, restore=restore), known, OWNER).identity

    assert identity("") == identity("dumps/a") == first.identity
    assert identity("dumps/b") != first.identity


def secret(**values: str) -> dict[str, Any]:
    data = {key: base64.b64encode(text.encode()).decode() for key, text in values.items()}
    metadata = {"name": "db", "namespace": OWNER.namespace, "uid": "u1"}
    return {"metadata": metadata, "type": "Opaque", "data": data}


def external(port_key: str | None = None, **values: str) -> Database:
    address = Address("db", "host", "dbname", port_key)
    key = ObjectKey("", "Secret", OWNER.namespace, "db")
    values = {"dbname": "orders", "password": "p", **values}
    observed = Observed(values={key: hash_values(secret(**values))})
    return identify_database(DesiredState((), addresses=(address,)), observed, OWNER)


def test_an_external_database_is_its_host_port_and_name() -> None:
    first = external(host="db.example.com")
    assert external(host="DB.example.com.\n", password="other") == first
    assert external("port", host="db.example.com", port="5432") == first
    others = [
        external(host="db2.example.com"),
        external(host="db.example.com", dbname="Orders"),
        external("port", host="db.example.com", port="5433"),
    ]
    assert len({first.identity, *(item.identity for item in others)}) == 4
    short = external(host="pg")
    assert short == external(host=f"pg.{OWNER.namespace}.svc.cluster.local")
    assert external(dbname="orders").identity is None


def test_services_that_share_a_database_find_each_other_by_keyed_hashes() -> None:
    address = external(host="db.example.com").address
    assert address is not None
    job = attempt("x", owner_uid="uid-other")
    theirs = replace(job, attempt=Attempt(database=keyed_hash("uid-other", address)))
    assert find_sharing(address, [theirs]) == (theirs,)
    assert find_sharing(external(host="db2.example.com").address, [theirs]) == ()
    assert keyed_hash("uid-other", address) != keyed_hash(OWNER.uid, address)


@pytest.mark.parametrize(
    ("status", "started"),
    [
        ({"phase": "Pending"}, False),
        ({"phase": "Pending", "containerStatuses": [{"state": {"waiting": {}}}]}, False),
        ({"phase": "Running"}, True),
        ({"phase": "Failed"}, True),
        ({"phase": "Pending", "containerStatuses": [{"state": {"running": {}}}]}, True),
        ({"phase": "Pending", "containerStatuses": [{"restartCount": 1}]}, True),
    ],
)
def test_a_pod_has_started_if_its_program_may_have_run(
    status: dict[str, Any], started: bool
) -> None:
    assert pod_has_started({"status": status}) is started
