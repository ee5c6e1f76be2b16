"""``redis-cli``: the cache or the queue of a service."""

from typing import Annotated, Any

import typer

from fastapi_operator import naming
from fastapi_operator.cli import in_pod, inputs, reach
from fastapi_operator.cli.connect import Cluster, NameArgument, run_with_cluster
from fastapi_operator.cli.stores import read_credentials
from fastapi_operator.parts import Part
from fastapi_operator.resources.desired import PASSWORD, USERNAME

_FIELDS = {Part.CACHE: "redis", Part.QUEUE: "queue"}
# The password is read in the pod, so that no command line has it.
_SCRIPT = (
    'export REDISCLI_AUTH="$(cat /etc/{program}/password)"; '
    'exec {program}-cli --user "$(cat /etc/{program}/username)" "$@"'
)


def redis_cli(
    name: NameArgument,
    arguments: Annotated[
        list[str] | None,
        typer.Argument(metavar="ARGUMENT", help="Arguments of redis-cli, after --."),
    ] = None,
    *,
    queue: Annotated[
        bool, typer.Option("--queue", help="The queue. Default: the cache, if there is one.")
    ] = False,
    local: Annotated[
        bool, typer.Option("--local", help="Run the redis-cli of this machine.")
    ] = False,
    namespace: inputs.NamespaceOption = None,
    context: inputs.ContextOption = None,
    kubeconfig: inputs.KubeconfigOption = None,
) -> None:
    """Open redis-cli on the cache or the queue of a service.

    redis-cli, or valkey-cli, runs in the pod of the server as the user of the app, whose password
    it reads there. That needs kubectl, and the rights to list pods and to get and create pods/exec.

    With --local, the redis-cli of this machine reaches the server by a forwarded port, and gets the
    password of the Secret in its environment. That needs the rights to get the Secret and to get
    and create pods/portforward.

    Examples:
      fastapi-operator redis-cli shop
      fastapi-operator redis-cli shop --queue -- info memory

    Exit status:
      0  redis-cli succeeded
      2  the service has no server that can be reached, or a program is missing
      *  otherwise, that of redis-cli
    """
    extra = list(arguments or ())

    async def work(cluster: Cluster) -> tuple[str, str, str, str] | int:
        part = _part((await cluster.read_service(name))["spec"], name, queue=queue)
        if local:
            return await _run_local(cluster, name, part, extra)
        pod = await reach.find_pod(cluster, name, part)
        container = part.record.container
        program = pod.containers[container][0].removesuffix("-server")
        return pod.name, container, program, cluster.namespace

    place: dict[str, Any] = {"kubeconfig": kubeconfig, "context": context}
    found = run_with_cluster(work, namespace=namespace, **place)
    if isinstance(found, int):
        in_pod.exit_with(found)
        return
    pod, container, program, chosen = found
    code = in_pod.run_in_pod(pod, container, command(program, extra), namespace=chosen, **place)
    in_pod.exit_with(code)


def command(program: str, arguments: list[str]) -> list[str]:
    """Returns the command in the pod.

    Args:
        program: ``redis`` or ``valkey``.
        arguments: The arguments of the client.
    """
    return ["sh", "-c", _SCRIPT.format(program=program), f"{program}-cli", *arguments]


def _part(spec: dict[str, Any], name: str, *, queue: bool) -> Part:
    """Returns the requested part, if the operator runs it."""
    has = {part: spec.get(field) is not None for part, field in _FIELDS.items()}
    part = Part.QUEUE if queue or not has[Part.CACHE] else Part.CACHE
    if not has[part]:
        wanted = "no queue (spec.queue)" if queue else "neither a cache nor a queue"
        inputs.fail(f"{name}: the service has {wanted}")
    if spec[_FIELDS[part]].get("mode") == "External":
        inputs.fail(
            f"{name}: the {part} is external, so no pod leads to it; connect to its own address"
        )
    return part


async def _run_local(cluster: Cluster, name: str, part: Part, arguments: list[str]) -> int:
    secret = naming.child_name(name, part.record.suffix)
    username, password = await read_credentials(cluster, secret, (USERNAME, PASSWORD))
    chooser = reach.Chooser(cluster, name, part, part.record.port_name)
    command = ["redis-cli", "-h", "127.0.0.1", "-p", "{port}", "--user", username, *arguments]
    return await in_pod.run_local(cluster, chooser, command, {"REDISCLI_AUTH": password})
