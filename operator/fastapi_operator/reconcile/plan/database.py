"""The identity of a service's database, and of the volumes with its data.

The identity decides whether a migration has already run on this database. A managed database is
its volume, a Cluster of CloudNativePG is its object, and an external one is host, port and name.
Only hashes with the service's uid as key are stored.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from fastapi_operator import naming
from fastapi_operator.cluster.kinds import CNPG_CLUSTER, PERSISTENT_VOLUME_CLAIM, SECRET
from fastapi_operator.parts import Part
from fastapi_operator.reconcile.observe.identity import Owner
from fastapi_operator.reconcile.observe.observed import Child, Observed
from fastapi_operator.reconcile.observe.references import Values
from fastapi_operator.reconcile.plan.desired_state import DesiredState
from fastapi_operator.reconcile.plan.refusals import Refusal
from fastapi_operator.resources.access import Address
from fastapi_operator.resources.desired import Desired, ObjectKey


@dataclass(frozen=True)
class LostVolume:
    """A volume that the release record lists and that is gone.

    Attributes:
        key: The claim, or the Cluster of CloudNativePG.
        uid: The uid of the lost object.
        part: The part whose data it held.
        replaced: Whether another object has its name now.
    """

    key: ObjectKey
    uid: str
    part: Part
    replaced: bool


@dataclass(frozen=True)
class Database:
    """The identity of a service's data.

    Attributes:
        identity: The keyed hash of the database; None if it is not known yet.
        address: A hash by which other services find that they use the same external database. It
            has no key, so it is never stored.
        secrets: The Secrets with the address of an external database.
        volumes: The uid of each object that holds data, by kind and name.
        lost: Recorded volumes that are gone, unless the service may begin without them.
    """

    identity: str | None = None
    address: str | None = None
    secrets: frozenset[ObjectKey] = frozenset()
    volumes: Mapping[str, str] = field(default_factory=dict)
    lost: tuple[LostVolume, ...] = ()


def identify_database(
    state: DesiredState, observed: Observed, owner: Owner, *, begin_empty: str = ""
) -> Database:
    """Returns the identity of the data of a service.

    Args:
        state: The desired state.
        observed: Its live objects, the release record, and the known values.
        owner: The service.
        begin_empty: The uid of a lost volume without which the service may begin.
    """
    holders = [item for item in state.objects if holds_data(item)]
    recorded = observed.release.volumes if observed.release else {}
    known = {volume_name(item.key): _uid(item.key, observed, owner) for item in holders}
    secrets = frozenset(
        ObjectKey("", SECRET.kind, owner.namespace, address.secret) for address in state.addresses
    )
    values = {**observed.unwatched, **observed.values} if state.addresses else {}
    addresses = tuple(_address(item, values, owner) for item in state.addresses)
    return Database(
        identity=_identity(state, holders, addresses, observed, owner),
        address=addresses[0] if addresses else None,
        secrets=secrets,
        volumes={
            **_kept(recorded, known, observed, owner),
            **{name: uid for name, uid in known.items() if uid},
        },
        lost=tuple(
            LostVolume(item.key, uid, item.part, replaced=known[name] is not None)
            for item in holders
            for name, uid in [(volume_name(item.key), recorded.get(volume_name(item.key)))]
            if uid is not None and uid not in (known[name], begin_empty)
        ),
    )


def holds_data(desired: Desired) -> bool:
    """Whether an object holds data that cannot be derived again; a cache may begin empty."""
    kinds = (PERSISTENT_VOLUME_CLAIM.kind, CNPG_CLUSTER.kind)
    return desired.key.kind in kinds and desired.part is not Part.CACHE


def volume_name(key: ObjectKey) -> str:
    """Returns the name of a volume in the release record."""
    return f"{key.kind}/{key.name}"


def keyed_hash(key: str, text: str) -> str:
    """Returns a hash that cannot be compared with one of another key."""
    return hashlib.blake2b(text.encode(), key=key.encode()[:64], digest_size=8).hexdigest()


def find_sharing(address: str | None, jobs: Iterable[Child]) -> tuple[Child, ...]:
    """Returns the migration Jobs of other services that work on an external database."""
    if address is None:
        return ()
    return tuple(
        job
        for job in jobs
        if job.attempt is not None
        and job.owner_uid is not None
        and job.attempt.database == keyed_hash(job.owner_uid, address)
    )


def refuse(lost: Sequence[LostVolume], owner: Owner) -> tuple[Refusal, ...]:
    """Returns a refusal for each lost volume, with the command that ends it."""
    return tuple(Refusal(item.key, "VolumeLost", _explain(item, owner)) for item in lost)


def _explain(lost: LostVolume, owner: Owner) -> str:
    command = begin_empty_command(owner, lost.uid)
    gone = f"{lost.key} with the data of this service is gone (uid {lost.uid})"
    if lost.replaced:
        return (
            f"{gone}, and another object has its name; nothing is written for the data. To use "
            f"the object that has the name now, as it is, run: {command}"
        )
    return (
        f"{gone}; nothing is created in its place. To begin with an empty volume, run: {command}. "
        "To use a restored copy of the data, create it under this name first"
    )


def begin_empty_command(owner: Owner, uid: str) -> str:
    """Returns the command that lets a service begin without a lost volume."""
    return (
        f"kubectl annotate fas {owner.name} -n {owner.namespace} "
        f"{naming.BEGIN_EMPTY_ANNOTATION}={uid} --overwrite"
    )


def _identity(
    state: DesiredState,
    holders: Iterable[Desired],
    addresses: Sequence[str | None],
    observed: Observed,
    owner: Owner,
) -> str | None:
    recorded = observed.release.database if observed.release else None
    if addresses:
        known = [address for address in addresses if address is not None]
        # An unreadable Secret is no other database: the recorded one is assumed.
        complete = len(known) == len(addresses)
        return keyed_hash(owner.uid, f"external {' '.join(known)}") if complete else recorded
    holder = next((item for item in holders if item.part is Part.DATABASE), None)
    uid = _uid(holder.key, observed, owner) if holder is not None else None
    if holder is None or uid is None:
        return None
    volumes = observed.release.volumes if observed.release else {}
    if not state.restore and recorded and volumes.get(volume_name(holder.key)) == uid:
        # A restore source that was removed after the restore changes nothing in the database.
        return recorded
    return keyed_hash(owner.uid, f"{volume_name(holder.key)} {uid} {state.restore}".rstrip())


def _address(address: Address, values: Mapping[ObjectKey, Values], owner: Owner) -> str | None:
    known = values.get(ObjectKey("", SECRET.kind, owner.namespace, address.secret))
    if known is None:
        return None
    return known.address_of(host=address.host, port=address.port, database=address.database)


def _uid(key: ObjectKey, observed: Observed, owner: Owner) -> str | None:
    """Returns the uid of the service's object with data; None if it is missing."""
    child = observed.children.get(key)
    return child.uid if child is not None and child.can_belong_to(owner.uid) else None


def _kept(
    recorded: Mapping[str, str],
    desired: Mapping[str, str | None],
    observed: Observed,
    owner: Owner,
) -> dict[str, str]:
    """Returns the recorded volumes that the spec does not have now, but that are retained."""
    retained = {
        volume_name(key): child.uid
        for key, child in observed.children.items()
        if child.owner_uid != owner.uid
    }
    return {
        name: uid
        for name, uid in recorded.items()
        if name not in desired and retained.get(name) == uid
    }
