"""``rollback``: back to a released spec, without a canary."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from fastapi_operator import naming
from fastapi_operator.cli import console, inputs
from fastapi_operator.cli.connect import Cluster, NameArgument, run_with_cluster
from fastapi_operator.cluster.kinds import CONTROLLER_REVISION, SERVICE
from fastapi_operator.reconcile.observe.identity import Owner
from fastapi_operator.reconcile.observe.observed import ReleaseRecord
from fastapi_operator.reconcile.plan.canary_situation import hash_spec, rollback_request
from fastapi_operator.reconcile.plan.release import is_released, records_of

# Programs that apply the spec again from elsewhere, by words in the names of their managers.
_APPLIERS = ("argocd", "kustomize-controller", "helm")


def rollback(  # noqa: PLR0917 (typer reads them as options)
    name: NameArgument,
    to: Annotated[
        int | None,
        typer.Option(
            "--to", metavar="N", help="Number of the release. Default: the one before this spec."
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the effect, and change nothing.")
    ] = False,
    namespace: inputs.NamespaceOption = None,
    context: inputs.ContextOption = None,
    kubeconfig: inputs.KubeconfigOption = None,
) -> None:
    """Go back to a released spec and report the effect on the schema.

    The operator records the last ten released specs. If the present spec is not released, because
    its migration or its canary failed or runs, the default is the last release. The whole spec
    becomes that of the release, except for suspend. It rolls out at once, without a canary. No
    migration is undone.

    Examples:
      fastapi-operator rollback shop --dry-run
      fastapi-operator rollback shop --to 3

    Exit status:
      0  the service has the spec of the release
      2  there is no such release, or the cluster cannot be used
    """

    async def work(cluster: Cluster) -> str:
        body = await cluster.read_service(name)
        releases = await _releases(cluster, body)
        chosen = _chosen(name, body["spec"], releases, to)
        for line in explain(body, chosen, releases[-1]):
            console.print_line(line)
        if not dry_run:
            await _replace(cluster, body, chosen, releases[-1])
        return cluster.command("rollout", name)

    follow = run_with_cluster(work, kubeconfig=kubeconfig, context=context, namespace=namespace)
    if not dry_run:
        typer.echo(f"{name}: rollback requested; follow it with: {follow} --watch")


def explain(body: Mapping[str, Any], chosen: ReleaseRecord, newest: ReleaseRecord) -> Sequence[str]:
    """Returns the changes of a rollback, in lines.

    Args:
        body: The live FastAPIService.
        chosen: The release to go back to.
        newest: The newest release.
    """
    spec, wanted = body["spec"], _spec(body["spec"], chosen)
    changed = [key for key in sorted({*spec, *wanted}) if spec.get(key) != wanted.get(key)]
    lines = [
        f"release {chosen.revision}: {wanted.get('image')}",
        f"  present image: {spec.get('image')}",
        f"  changed fields: {', '.join(changed) or 'none'}",
        f"  schema: {_schema(body, chosen, newest)}",
    ]
    entries = body["metadata"].get("managedFields") or ()
    managers = {str(entry.get("manager", "")) for entry in entries}
    appliers = sorted(name for name in managers if any(word in name for word in _APPLIERS))
    if appliers:
        lines.append(
            f"  {', '.join(appliers)} applies this service: change its source too, or it is "
            "applied again"
        )
    return lines


def _schema(body: Mapping[str, Any], chosen: ReleaseRecord, newest: ReleaseRecord) -> str:
    postgres = chosen.spec.get("postgres")
    if not isinstance(postgres, Mapping) or postgres.get("migrations") is None:
        return "this release has no migration, so it stays as it is"
    later = [key for key in newest.migrated if key not in chosen.migrated]
    migration = (body.get("status") or {}).get("migration") or {}
    unreleased = migration.get("key") not in newest.migrated and migration.get("state") in (
        "Succeeded",
        "Failed",
    )
    count = len(later) + unreleased
    if not count:
        return "no later migration has run, so it stays as it is"
    revision = migration.get("revision")
    at = f" at revision {revision}" if revision else ""
    return (
        f"it stays{at}: {count} later migration{'s have' if count > 1 else ' has'} run, and none "
        "is undone; this release must work with the newer schema"
    )


async def _releases(cluster: Cluster, body: Mapping[str, Any]) -> list[ReleaseRecord]:
    """Returns the release records of a service, oldest first."""
    metadata = body["metadata"]
    owner = Owner(cluster.namespace, metadata["name"], metadata["uid"])
    selector = f"{naming.SERVICE_LABEL}={owner.name}"
    pages = cluster.client.pages(CONTROLLER_REVISION, cluster.namespace, label_selector=selector)
    found = records_of([item async for items, _ in pages for item in items], owner)
    if not found:
        inputs.fail(f"{owner.name}: it has no release yet, so there is nothing to go back to")
    return found


def _chosen(
    name: str, spec: Mapping[str, Any], releases: Sequence[ReleaseRecord], number: int | None
) -> ReleaseRecord:
    known = ", ".join(f"{record.revision} ({record.spec.get('image')})" for record in releases)
    if number is not None:
        found = next((record for record in releases if record.revision == number), None)
        if found is None:
            inputs.fail(f"{name}: there is no release {number}; there are: {known}")
        return found
    others = [record for record in releases if not is_released(record, spec)]
    if not others:
        inputs.fail(f"{name}: no release has another spec; there are: {known}")
    return others[-1]


def _spec(spec: Mapping[str, Any], chosen: ReleaseRecord) -> dict[str, Any]:
    wanted = {key: value for key, value in chosen.spec.items() if key != "suspend"}
    return wanted | ({"suspend": spec["suspend"]} if "suspend" in spec else {})


async def _replace(
    cluster: Cluster, body: dict[str, Any], chosen: ReleaseRecord, newest: ReleaseRecord
) -> None:
    """Replaces the spec, if it is unchanged since it was read."""
    wanted, metadata = _spec(body["spec"], chosen), body["metadata"]
    annotations = {
        **(metadata.get("annotations") or {}),
        # It was released before, so it needs no canary; any other spec does, and this one later.
        naming.PROMOTE_ANNOTATION: rollback_request(hash_spec(wanted), newest.revision),
    }
    annotations.pop(naming.ABORT_ANNOTATION, None)
    kept = {key: value for key, value in metadata.items() if key != "managedFields"}
    await cluster.client.put(
        SERVICE,
        {
            "apiVersion": naming.API_VERSION,
            "kind": naming.KIND,
            "metadata": {**kept, "annotations": annotations},
            "spec": wanted,
        },
    )
