"""The Secrets with the certificates of Ingresses, whose controllers report no missing one."""

from collections.abc import Iterable, Iterator, Mapping

from fastapi_operator import naming
from fastapi_operator.cluster.kinds import CERTIFICATE, INGRESS, SECRET
from fastapi_operator.problems import Problem, Severity, Stage
from fastapi_operator.reconcile.plan.owned_object import OwnedObject
from fastapi_operator.resources.desired import ObjectKey


def certificate_secrets(objects: Iterable[OwnedObject]) -> frozenset[ObjectKey]:
    """Returns the Secrets that Ingresses name and that no Certificate of the service fills."""
    named, issued = set(), set()
    for owned in objects:
        spec, namespace = owned.body.get("spec") or {}, owned.key.namespace
        if owned.key.kind == CERTIFICATE.kind:
            issued.add(ObjectKey("", SECRET.kind, namespace, spec["secretName"]))
        elif owned.key.kind == INGRESS.kind:
            names = (item.get("secretName") for item in spec.get("tls") or ())
            named |= {ObjectKey("", SECRET.kind, namespace, name) for name in names if name}
    return frozenset(named - issued)


def find_invalid_certificates(faults: Mapping[ObjectKey, str | None]) -> Iterator[Problem]:
    """Yields a warning for each Secret that has no certificate.

    Args:
        faults: The fault of each Secret; empty if it has none, None if it does not exist.
    """
    for key, fault in sorted(faults.items()):
        if fault != "":
            yield Problem(
                severity=Severity.WARNING,
                stage=Stage.PLAN,
                path="spec.exposure.tls.secretName",
                message=f"Secret {key.name} {fault or 'does not exist'}, so the Ingress controller "
                "has no certificate for the hosts",
                remedy=f"run: kubectl create secret tls {key.name} -n {key.namespace} "
                "--cert=FILE --key=FILE, and label it "
                f"{naming.WATCHED_LABEL}=true so that its changes are seen at once",
            )
