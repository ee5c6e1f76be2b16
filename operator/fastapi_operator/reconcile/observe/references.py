"""The Secrets and ConfigMaps that a pod reads, and how their change restarts the pod.

A process reads its environment once, and most processes read their files once. So the pod template
of a workload carries a stamp: for each object that its pods read, a hash of the keys that they
read. If a value changes, the stamp changes, and a rollout follows. A volume that a reload sidecar
mounts needs no stamp.

Only hashes are kept, and each is keyed with the uid of its object, so that the values of a Secret
cannot be guessed from the stamps in a Deployment.
"""

import base64
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from fastapi_operator import naming
from fastapi_operator.cluster.kinds import CONFIG_MAP, DEPLOYMENT, SECRET, STATEFUL_SET
from fastapi_operator.parts import RELOADER, Part
from fastapi_operator.reconcile.observe.certificates import find_fault
from fastapi_operator.resources.desired import ObjectKey

# On pod templates: the stamp of the values that the pods read when they started.
STAMP_ANNOTATION = f"{naming.GROUP}/references"

Body = Mapping[str, Any]
# The keys that are read of each object; None is all of them.
References = Mapping[ObjectKey, frozenset[str] | None]
Stamp = Mapping[str, str]


class Values(NamedTuple):
    """The facts that are kept of a Secret or ConfigMap.

    Attributes:
        uid: Its uid, the key of the hashes.
        version: Its resourceVersion.
        hashes: A hash of each value, by key.
        parts: Hashes of each value of a Secret as a part of an address, by key: as a host, and
            as it is. They have no key, so that the addresses of different services can be
            compared; they are never stored.
        certificate_fault: Why a Secret is not a certificate with its key; empty if it is one.
    """

    uid: str
    version: int
    hashes: Mapping[str, str]
    parts: Mapping[str, tuple[bytes, bytes]] = MappingProxyType({})
    certificate_fault: str = ""

    def address_of(self, *, host: str, port: str | None, database: str) -> str | None:
        """Returns a hash of an address whose parts have these keys; None if one is missing."""
        if not {host, database} <= self.parts.keys() or (port and port not in self.parts):
            return None
        number = self.parts[port][1] if port else _plain(str(Part.DATABASE.port))
        return _plain(b"".join((self.parts[host][0], number, self.parts[database][1]))).hex()


def hash_values(body: Body) -> Values:
    """Returns the hashed values of a live Secret or ConfigMap."""
    metadata = body["metadata"]
    texts = {**(body.get("data") or {}), **(body.get("binaryData") or {})}
    # The operator's own Secrets have no address.
    is_own = naming.SERVICE_LABEL in (metadata.get("labels") or {})
    coded = body.get("data") or {} if body.get("type") is not None and not is_own else {}
    return Values(
        uid=metadata["uid"],
        version=int(metadata.get("resourceVersion") or 0),
        hashes={key: _keyed(metadata["uid"], text) for key, text in texts.items()},
        parts={key: _address_parts(text, metadata["namespace"]) for key, text in coded.items()},
        certificate_fault=find_fault(coded),
    )


def find_references(body: Body) -> References:
    """Returns the keys that the pods of a workload read at start; none for other kinds."""
    if body["kind"] not in (DEPLOYMENT.kind, STATEFUL_SET.kind):
        return {}
    return find_pod_references(body)


def find_pod_references(body: Body) -> References:
    """Returns the keys that the pods of an object with a pod template read at start."""
    namespace = body["metadata"]["namespace"]
    pod = body.get("spec", {}).get("template", {}).get("spec", {})
    containers = [*(pod.get("initContainers") or ()), *(pod.get("containers") or ())]
    found: dict[ObjectKey, frozenset[str] | None] = {}
    for kind, name, keys in (*_environment(containers), *_files(pod, containers)):
        key = ObjectKey("", kind, namespace, name)
        known = found.get(key, frozenset())
        found[key] = None if keys is None or known is None else known | keys
    return found


def read_stamp(body: Body) -> Stamp | None:
    """Returns the stamp of a live workload; None for other kinds."""
    template = (body.get("spec") or {}).get("template")
    if template is None:
        return None
    text = (template.get("metadata", {}).get("annotations") or {}).get(STAMP_ANNOTATION)
    try:
        stamp = json.loads(text or "{}")
    except ValueError:
        # The annotation was edited; it differs from any valid stamp, and so is corrected.
        stamp = {"": text}
    return stamp if isinstance(stamp, dict) else {"": str(text)}


def compute_stamp(
    read: References, values: Mapping[ObjectKey, Values], before: Stamp | None
) -> Stamp:
    """Returns the stamp that a workload should carry.

    Args:
        read: The keys that its pods read.
        values: The known values.
        before: The stamp of the live workload. Its entry for an object that is not known now is
            kept: a Secret that is missing for a moment is no reason to start pods without it.
    """
    found = {}
    for key, wanted in read.items():
        name, known = f"{key.kind}/{key.name}", values.get(key)
        if known is not None:
            chosen = sorted(known.hashes if wanted is None else wanted & known.hashes.keys())
            found[name] = _keyed(known.uid, *(f"{item}={known.hashes[item]}" for item in chosen))
        elif before is not None and name in before:
            found[name] = before[name]
    return found


def with_stamp(body: Body, found: Stamp) -> Body:
    """Returns a workload's body with the stamp on its pod template."""
    if not found:
        return body
    text = json.dumps(found, sort_keys=True, separators=(",", ":"))
    template = with_annotations(body["spec"]["template"], {STAMP_ANNOTATION: text})
    return {**body, "spec": {**body["spec"], "template": template}}


def with_annotations(template: Body, more: Mapping[str, str]) -> Body:
    """Returns a pod template with further annotations."""
    metadata = template.get("metadata", {})
    annotations = {**metadata.get("annotations", {}), **more}
    return {**template, "metadata": {**metadata, "annotations": annotations}}


Read = tuple[str, str, frozenset[str] | None]


def _environment(containers: Iterable[Body]) -> Iterator[Read]:
    for container in containers:
        for entry in container.get("env") or ():
            source = entry.get("valueFrom") or {}
            for field, kind in (("secretKeyRef", SECRET), ("configMapKeyRef", CONFIG_MAP)):
                chosen = source.get(field) or {}
                if "name" in chosen and "key" in chosen:
                    yield kind.kind, chosen["name"], frozenset({chosen["key"]})
        for source in container.get("envFrom") or ():
            for field, kind in (("secretRef", SECRET), ("configMapRef", CONFIG_MAP)):
                chosen = source.get(field) or {}
                if "name" in chosen:
                    yield kind.kind, chosen["name"], None


def _files(pod: Body, containers: Iterable[Body]) -> Iterator[Read]:
    reloaded = {
        mount.get("name")
        for container in containers
        if container.get("name") == RELOADER
        for mount in container.get("volumeMounts") or ()
    }
    for volume in pod.get("volumes") or ():
        if volume.get("name") in reloaded:
            continue
        for source in (volume, *((volume.get("projected") or {}).get("sources") or ())):
            for field, kind in (("secret", SECRET), ("configMap", CONFIG_MAP)):
                chosen = source.get(field) or {}
                name = chosen.get("secretName") or chosen.get("name")
                if name is None:
                    continue  # The API server rejects it, with its path.
                items = chosen.get("items")
                keys = frozenset(item["key"] for item in items) if items else None
                yield kind.kind, name, keys


def _keyed(key: str, *texts: str) -> str:
    text = "\n".join(texts).encode()
    return hashlib.blake2b(text, key=key.encode()[:64], digest_size=8).hexdigest()


def _address_parts(coded: str, namespace: str) -> tuple[bytes, bytes]:
    try:
        text = base64.b64decode(coded).strip()
    except ValueError:
        text = coded.encode()
    host = text.lower().rstrip(b".").removesuffix(b".cluster.local")
    if b"." not in host and b":" not in host and b"/" not in host:
        # The name of a Service in the same namespace.
        host = host + f".{namespace}.svc".encode()
    return _plain(host), _plain(text)


def _plain(text: bytes | str) -> bytes:
    coded = text.encode() if isinstance(text, str) else text
    return hashlib.blake2b(coded, digest_size=8).digest()
