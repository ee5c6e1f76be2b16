"""Claims with data are lost or replaced: no data is replaced until its owner confirms it."""

import time

from fastapi_operator import naming
from tests.faults.field import Field
from tests.faults.fleet import Member, Stage
from tests.faults.people import with_retries


def claims_lost(field: Field) -> None:
    """Claims with data are deleted, each second one is replaced; then their owners confirm it."""
    chosen = field.members(Stage.READY, Stage.CHANGING, Stage.FAILED)
    members = [member for member in chosen if field.kube.get(_path(member)) is not None][:4]
    assert len(members) > 1, "too few services have a database"
    names = {member.name for member in members}
    since = field.log.mark()
    with field.operator():
        lost = {member.name: _lose(field, member) for member in members}
        for member in members[1::2]:
            _replace(field, member)
        field.until(lambda: names <= _lost(field))
    # The next process has only the release records.
    with field.operator():
        field.stir()
        field.until(lambda: names <= _lost(field))
        time.sleep(3.0)
        made = [
            request.name
            for request in field.log.requests(since)
            if (request.verb, request.resource) == ("create", "persistentvolumeclaims")
            and any(request.name == _claim(member) for member in members)
        ]
        assert not made, f"created without confirmation: {made}"
        for member in members:
            # Another database is migrated, and recorded in another release record.
            field.apart += [
                f"{plural}/{member.namespace}/{member.name}-"
                for plural in ("jobs", "controllerrevisions", "persistentvolumeclaims")
            ]
            field.remade[member.name] = 1
            body = {"metadata": {"annotations": {naming.BEGIN_EMPTY_ANNOTATION: lost[member.name]}}}
            field.kube.patch(field.people.path(member), body)
        field.settle()
    field.met = f"{len(members)} claims, {len(members[1::2])} of them replaced"


def _claim(member: Member) -> str:
    return naming.child_name(member.name, "postgres", "data")


def _path(member: Member) -> str:
    return f"/api/v1/namespaces/{member.namespace}/persistentvolumeclaims/{_claim(member)}"


def _lose(field: Field, member: Member) -> str:
    """Deletes the claim of a database; returns its uid."""
    body = field.kube.get(_path(member))
    assert body is not None
    field.kube.delete(_path(member))
    uid: str = body["metadata"]["uid"]
    field.until(lambda: field.kube.get(_path(member)) is None)
    return uid


def _replace(field: Field, member: Member) -> None:
    """A user creates another claim with the name of the lost one."""
    labels = {naming.SERVICE_LABEL: member.name, naming.WATCHED_LABEL: "true"}
    requests = {"storage": "10Gi"}
    body = {
        "metadata": {"name": _claim(member), "labels": labels},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": requests}},
    }
    collection = _path(member).rpartition("/")[0]
    field.kube.request("POST", collection, body)


def _lost(field: Field) -> set[str]:
    stalled = with_retries(lambda: field.people.reasons("Stalled"))
    return {name for name, reason in stalled.items() if reason == "VolumeLost"}
