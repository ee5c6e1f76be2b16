"""``deploy``: from a project's folder to a URL."""

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from fastapi_operator.api.parse import parse_service
from fastapi_operator.cli import build, console, inputs, until_ready
from fastapi_operator.cli.connect import Cluster, run_with_cluster
from fastapi_operator.cli.deploy_check import check_service
from fastapi_operator.cli.deploy_image import ImageOptions, PlannedImage, plan_image
from fastapi_operator.cli.deploy_secrets import missing_secrets
from fastapi_operator.cli.deploy_source import Found, find
from fastapi_operator.cluster import connection
from fastapi_operator.cluster.kinds import SECRET, SERVICE
from fastapi_operator.delivery import request
from fastapi_operator.delivery.builder import Builder
from fastapi_operator.delivery.progress import is_in_cluster
from fastapi_operator.delivery.secrets import required_secrets

# As a shell reports a program that Ctrl+C ended.
_INTERRUPTED = 130


def deploy(  # noqa: PLR0917 (typer reads them as options)
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="Directory of the project.")
    ] = Path(),
    file: Annotated[
        Path | None,
        typer.Option(
            "-f",
            "--file",
            metavar="FILE",
            help="File of the service. Default: the one in DIR, or else init writes one.",
            dir_okay=False,
        ),
    ] = None,
    registry: Annotated[
        str,
        typer.Option(
            "--registry",
            metavar="REGISTRY",
            help="Registry to push to, for example ghcr.io/acme. Default: that of spec.image; an "
            "image for kind, k3d or minikube is loaded instead.",
        ),
    ] = "",
    load: Annotated[
        str,
        typer.Option(
            "--load",
            metavar="COMMAND",
            help="Command that loads the image into the nodes of another local cluster; {} is its "
            "archive.",
        ),
    ] = "",
    tag: Annotated[
        str,
        typer.Option(
            "--tag",
            metavar="TAG",
            help="Tag of the image. Default: the commit, and a hash of the files if they differ "
            "from it.",
        ),
    ] = "",
    image: Annotated[
        str,
        typer.Option("--image", metavar="IMAGE", help="Deploy this image, and build none."),
    ] = "",
    program: Annotated[
        Builder | None,
        typer.Option(
            "--builder", help="Program that builds. Default: the first that works on this machine."
        ),
    ] = None,
    dockerfile: Annotated[
        Path | None,
        typer.Option(
            "--dockerfile",
            metavar="FILE",
            help="Dockerfile. Default: that of the project, or else init writes one.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    platform: Annotated[
        str,
        typer.Option(
            "--platform",
            metavar="PLATFORM",
            help="Platform of the image, for example linux/amd64. Default: that of this machine.",
        ),
    ] = "",
    profile: Annotated[
        str,
        typer.Option(
            "--profile",
            metavar="NAME",
            help="Profile of the service, for example development on a small cluster. Default: "
            "that of its file.",
        ),
    ] = "",
    secrets: Annotated[
        str,
        typer.Option(
            "--secrets",
            metavar="FILE",
            help="File with lines NAME=value, from which Secrets that do not exist are created; - "
            "is standard input. Default: ask on the terminal.",
        ),
    ] = "",
    seconds: Annotated[
        int,
        typer.Option(
            "--timeout",
            min=0,
            metavar="SECONDS",
            help="Time to wait until the service is ready; 0 does not wait.",
        ),
    ] = 600,
    force_conflicts: Annotated[
        bool,
        typer.Option("--force-conflicts", help="Take over fields that another program manages."),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Print every command, file and object, and do nothing."),
    ] = False,
    yes: Annotated[bool, typer.Option("-y", "--yes", help="Do not ask.")] = False,
    namespace: inputs.NamespaceOption = None,
    context: inputs.ContextOption = None,
    kubeconfig: inputs.KubeconfigOption = None,
) -> None:
    """Build a project's image and bring it to a URL.

    If the project has no file with a FastAPIService, init writes one, and a Dockerfile if that is
    missing too. The image is built with docker, podman or buildah, loaded into kind, k3d or
    minikube, or pushed to the registry. Then the service is applied with this image, and the
    command waits until it is ready. Its file is not changed.

    The command prints context and namespace and asks before it acts. It never changes the current
    context. Logins of registries are read by the builder from its own configuration, for example
    that of docker login. A directory whose .env would be in the image is refused. Values of Secrets
    that the service requires are asked for, or read from a file.

    Examples:
      fastapi-operator deploy
      fastapi-operator deploy ./backend --registry ghcr.io/acme -n shop --yes
      fastapi-operator deploy --dry-run

    Exit status:
      0  the service is ready, or the dry run is printed
      1  the service is applied, but is not ready; the cause is printed
      2  nothing is applied: an input, an answer or the cluster does not permit it
      3  the image cannot be built, loaded or pushed
    """
    if not (yes or dry_run or sys.stdin.isatty()):
        inputs.fail("there is no terminal to ask on; add --yes, or --dry-run to see what it does")
    options = ImageOptions(image, registry, load, tag, program, platform)
    options.check()
    target = _find_target(kubeconfig=kubeconfig, context=context)
    found = find(
        *(directory, file, dockerfile),
        builds=not image,
        writes=not dry_run,
        profile=profile,
    )
    made = None if image else plan_image(found, target, options)
    reference = image or (made.build.image if made else "")
    body = _body(found, target, namespace, reference)
    if dry_run:
        _print_dry_run(found, made, body, target)
        return
    _print_summary(found, made, body, target)

    async def check(cluster: Cluster) -> dict[str, frozenset[str]]:
        return await check_service(cluster, body, force=force_conflicts)

    async def apply(cluster: Cluster) -> None:
        for item in created:
            await cluster.client.create(SECRET, item)
            console.print_line(f"created Secret {cluster.namespace}/{item['metadata']['name']}")
        applied = await cluster.client.apply(SERVICE, body, force=force_conflicts)
        console.print_line(f"applied FastAPIService {cluster.namespace}/{_name(body)}")
        watch = cluster.command("status", _name(body))
        if not seconds:
            console.print_line(f"not waiting; watch it with: {watch}", to_stderr=True)
            return
        generation = int(applied["metadata"]["generation"])
        url = await until_ready.wait(cluster, _name(body), generation, seconds=seconds)
        if url is None:
            console.print_line(f"see all parts with: {watch}")
            raise typer.Exit(1)
        _print_url(cluster, _name(body), url)

    # The context by name, since the current one may change while the image is built.
    place: dict[str, Any] = {
        "kubeconfig": kubeconfig,
        "context": target.name,
        "namespace": body["metadata"]["namespace"],
    }
    created = missing_secrets(
        run_with_cluster(check, **place),
        place["namespace"],
        secrets,
        asks=not yes and sys.stdin.isatty(),
        known=found.values,
    )
    if not yes and not typer.confirm("Continue?", err=True):
        inputs.fail("not confirmed, so nothing is changed")
    if made is not None:
        build.deliver(made.builder, made.build, made.destination)
    try:
        run_with_cluster(apply, **place)
    except KeyboardInterrupt:
        console.print_line("the wait was ended; the rollout continues", to_stderr=True)
        raise typer.Exit(_INTERRUPTED) from None


def _find_target(*, kubeconfig: str | None, context: str | None) -> connection.Context:
    try:
        return connection.find_context(kubeconfig=kubeconfig, context=context)
    except connection.UnreachableError as error:
        inputs.fail(str(error))


def _body(
    found: Found, target: connection.Context, namespace: str | None, image: str
) -> dict[str, Any]:
    try:
        chosen = request.namespace_of(found.body, namespace, target.namespace)
    except request.RequestError as error:
        inputs.fail(f"{found.file}: {error}")
    body = request.to_apply(found.body, namespace=chosen, image=image)
    service, problems = parse_service(body)
    console.print_problems(_name(body), problems)
    if service is None:
        inputs.fail(f"{found.file}: the service is not valid; correct the errors above")
    return body


def _print_summary(
    found: Found, made: PlannedImage | None, body: Mapping[str, Any], target: connection.Context
) -> None:
    metadata = body["metadata"]
    rows = {
        "context": target.name,
        "namespace": metadata["namespace"],
        "service": f"{metadata['name']} ({found.file})",
        "image": body["spec"]["image"],
    }
    if made is not None:
        goal = made.destination
        way = "pushed to its registry" if goal.is_registry else "loaded into the nodes"
        if goal.cluster is not None:
            way = f"loaded into the {goal.cluster.tool} cluster {goal.cluster.name}"
        rows["build"] = f"with {made.builder} from {made.build.dockerfile}, then {way}"
    for name, value in rows.items():
        console.print_line(f"{name:<10} {value}", to_stderr=True)


def _print_dry_run(
    found: Found, made: PlannedImage | None, body: Mapping[str, Any], target: connection.Context
) -> None:
    for path, text in found.unwritten.items():
        typer.echo(f"# write {path}\n{text}")
    if made is not None:
        typer.echo("# run")
        for command in build.commands(
            made.builder, made.build, made.destination, build.DRY_ARCHIVE
        ):
            typer.echo(shlex.join(command))
        typer.echo()
    for name, keys in required_secrets(body["spec"]).items():
        typer.echo(f"# requires Secret {name} with {', '.join(sorted(keys)) or 'any keys'}")
    typer.echo(f"# apply in context {target.name}, namespace {body['metadata']['namespace']}")
    typer.echo(
        yaml.safe_dump(dict(body), sort_keys=False, allow_unicode=True, width=1000), nl=False
    )


def _print_url(cluster: Cluster, name: str, url: str) -> None:
    console.print_line(f"{name} is ready: {url}", console.BOLD)
    if is_in_cluster(url):
        console.print_line(
            f"it is inside the cluster; open it with: {cluster.command('open', name)}"
        )
    console.print_line(f"next, its logs: {cluster.command('logs', name)} --follow")


def _name(body: Mapping[str, Any]) -> str:
    return inputs.name_of(dict(body))
