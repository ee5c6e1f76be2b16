"""``profile``: where the time of a pod goes, as a flame graph."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from fastapi_operator.cli import console, inputs, table
from fastapi_operator.cli.connected import Cluster, NameArgument, connected
from fastapi_operator.cli.look import explained, look
from fastapi_operator.cluster import pods, spy
from fastapi_operator.cluster.errors import ApiError
from fastapi_operator.observability.flamegraph import Profile
from fastapi_operator.observability.signals import AppPod
from fastapi_operator.parts import Part

# Long enough to tell a busy pod from an idle one.
_CHOICE_SECONDS = 5
_ANSWER_SECONDS = 15
_HERTZ = 100


def profile(  # noqa: PLR0917 (typer reads them as options)
    name: NameArgument,
    seconds: Annotated[
        int, typer.Option("--seconds", min=1, max=60, help="How long to sample.")
    ] = 20,
    pod: Annotated[
        str | None,
        typer.Option(
            "--pod", metavar="POD", help="Default: the worst off, with --py-spy the first."
        ),
    ] = None,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Where the flame graph goes.", dir_okay=False)
    ] = Path("flame.svg"),
    idle: Annotated[
        bool, typer.Option("--idle", help="Count threads that wait for work as well.")
    ] = False,
    py_spy: Annotated[
        bool,
        typer.Option("--py-spy", help="Sample from outside, by an ephemeral container."),
    ] = False,
    image: Annotated[
        str, typer.Option("--image", metavar="IMAGE", help="With --py-spy: an image that has it.")
    ] = spy.IMAGE,
    privileged: Annotated[
        bool,
        typer.Option("--privileged", help="With --py-spy: as root with SYS_PTRACE."),
    ] = False,
    namespace: inputs.NamespaceOption = None,
    context: inputs.ContextOption = None,
    kubeconfig: inputs.KubeconfigOption = None,
) -> None:
    """Sample a pod's Python stacks, write a flame graph and print the lines that cost most.

    The runtime in the app samples itself, a hundred times a second, and answers on its private
    port: no rights beyond get on pods/proxy, no restart, no other container. Of several workers it
    is the one that holds the private port.

    An app without the runtime is sampled with --py-spy: an ephemeral container in the pod reads the
    memory of all its workers, as the app's own user. It needs patch on pods/ephemeralcontainers and
    get on pods/log, ends with the sampling, and stays listed in the pod until that is replaced.

    Exit status: 2 where no profile could be taken.
    """

    async def work(cluster: Cluster) -> tuple[str, str]:
        chosen = await _choose(cluster, name, pod, py_spy=py_spy)
        console.say(f"sampling pod {chosen.name} for {seconds} s", remark=True)
        if not py_spy:
            return chosen.name, await _sampled(cluster, chosen, seconds, idle=idle)
        try:
            return chosen.name, await spy.sampled(
                cluster.client,
                cluster.namespace,
                chosen.name,
                image=image,
                seconds=seconds,
                hertz=_HERTZ,
                idle=idle,
                privileged=privileged,
            )
        except spy.SpyError as error:
            inputs.stop(str(error))
        except ApiError as error:
            inputs.stop(f"pod {chosen.name}: no container may be added: {error}")

    where, text = connected(work, kubeconfig=kubeconfig, context=context, namespace=namespace)
    try:
        taken = Profile(text)
    except ValueError as error:
        inputs.stop(f"pod {where}: {error}")
    try:
        output.write_text(taken.svg(f"{name}: pod {where}, {seconds} s, {taken.samples} samples"))
    except OSError as error:
        inputs.stop(f"-o {output}: {error.strerror}")
    if not taken.samples:
        console.say("no sample: all threads waited for work", console.WARNING, remark=True)
    _print(taken, seconds)
    console.say(f"flame graph: {output}", remark=True)


async def _choose(cluster: Cluster, name: str, wanted: str | None, *, py_spy: bool) -> pods.LivePod:
    """The pod that was asked for, else the one whose event loop and CPU are busiest."""
    await cluster.service(name)
    found = await pods.pods_of(cluster.client, cluster.namespace, name)
    of_app = {pod.name: pod for pod in found if pod.part is Part.APP}
    if wanted is not None:
        if wanted not in of_app:
            known = ", ".join(of_app) or "none"
            inputs.stop(f"--pod {wanted}: no pod of the app of {name}; there are: {known}")
        return of_app[wanted]
    if py_spy:
        # What py-spy is for shows no metrics by which pods could be told apart.
        running = [pod for pod in of_app.values() if pod.running]
        if not running:
            inputs.stop(f"{name}: no pod of the app runs")
        return running[0]
    seen = await look(cluster, name, url=None, seconds=_CHOICE_SECONDS, otherwise="--py-spy")
    worst = worst_off(seen.signals.app)
    if worst is None:
        inputs.stop(
            f"{name}: no pod shows the runtime's metrics, so none can sample itself; add --py-spy, "
            "or install fastapi-operator-runtime in the image"
        )
    return next(pod for pod in seen.pods if pod.name == worst.pod)


def worst_off(app: Iterable[AppPod]) -> AppPod | None:
    """The pod with most time in which its event loop was late or its CPU in use."""
    return max(app, key=lambda pod: pod.late + pod.cpu, default=None)


async def _sampled(cluster: Cluster, pod: pods.LivePod, seconds: int, *, idle: bool) -> str:
    if not pod.ports:
        inputs.stop(
            f"pod {pod.name} has no private port: observability.metrics.enabled is false; set it "
            "to true"
        )
    address = f"/debug/profile?seconds={seconds}&hertz={_HERTZ}&idle={int(idle)}"
    try:
        return await pods.page(
            cluster.client,
            cluster.namespace,
            pod.name,
            pod.ports[0],
            address,
            seconds=seconds + _ANSWER_SECONDS,
        )
    except ApiError as error:
        if error.status == 404:
            inputs.stop(
                f"pod {pod.name} answers no profile: observability.profiling.enabled is false, or "
                "the image has no fastapi-operator-runtime"
            )
        inputs.stop(f"pod {pod.name}: {explained(error)}")


def _print(taken: Profile, seconds: int) -> None:
    whole = seconds * _HERTZ
    rows = (
        [f"{100 * line.own / whole:.1f} %", f"{100 * line.total / whole:.1f} %", line.place]
        for line in taken.top()
    )
    for line in table.lines(("itself", "with calls", "file:function:line"), rows):
        console.say(line)
