"""``profile``: a flame graph of an app pod."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from fastapi_operator.cli import console, inputs, table
from fastapi_operator.cli.busiest import Choice, find_busiest
from fastapi_operator.cli.connect import Cluster, NameArgument, run_with_cluster
from fastapi_operator.cli.sampling import explain_refusal, observe
from fastapi_operator.cluster import pods, spy
from fastapi_operator.cluster.errors import ApiError
from fastapi_operator.observability.flamegraph import Profile
from fastapi_operator.observability.signals import AppPod
from fastapi_operator.parts import Part

# Long enough to distinguish a busy pod from an idle one.
_CHOICE_SECONDS = 5
_RESPONSE_SECONDS = 15
_HERTZ = 100


def profile(  # noqa: PLR0917 (typer reads them as options)
    name: NameArgument,
    seconds: Annotated[
        int,
        typer.Option("--seconds", min=1, max=60, metavar="SECONDS", help="Time to sample."),
    ] = 20,
    pod: Annotated[
        str | None,
        typer.Option(
            "--pod",
            metavar="NAME",
            help="App pod to sample. Default: the most loaded one.",
        ),
    ] = None,
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            help="File for the flame graph; a page with the calls too if it ends with .html.",
            dir_okay=False,
        ),
    ] = Path("flame.svg"),
    idle: Annotated[
        bool, typer.Option("--idle", help="Include threads that wait for work.")
    ] = False,
    py_spy: Annotated[
        bool,
        typer.Option("--py-spy", help="Sample with py-spy in an ephemeral container."),
    ] = False,
    image: Annotated[
        str,
        typer.Option("--image", metavar="IMAGE", help="Image that contains py-spy, for --py-spy."),
    ] = spy.IMAGE,
    privileged: Annotated[
        bool,
        typer.Option("--privileged", help="Run py-spy as root with SYS_PTRACE."),
    ] = False,
    namespace: inputs.NamespaceOption = None,
    context: inputs.ContextOption = None,
    kubeconfig: inputs.KubeconfigOption = None,
) -> None:
    """Write a flame graph of an app pod.

    Also print the lines of code that cost most. By default the fastapi-operator-runtime in the
    app samples its own process a hundred times per second. That needs get and create on
    pods/portforward and neither a restart nor another container. A pod takes one profile at a time.
    In a pod with several workers, it samples the one that has the diagnostics port.

    If the app does not have the runtime, use --py-spy: an ephemeral container in the pod reads the
    memory of all workers as the app's user. That needs patch on pods/ephemeralcontainers and get on
    pods/log. The container ends after the sampling, and is listed in the pod until the pod is
    replaced. The most loaded pod is then the one that uses the most CPU in the metrics API, which
    needs list on pods.metrics.k8s.io; without that API, the one with the most requests in flight.

    Examples:
      fastapi-operator profile shop --seconds 30 -o flame.svg
      fastapi-operator profile shop -o flame.html
      fastapi-operator profile shop --py-spy --pod shop-6d5f7c9b8-x2x4q

    Exit status:
      0  the flame graph is written
      2  no profile can be taken, or the file cannot be written
    """

    async def work(cluster: Cluster) -> tuple[str, str]:
        chosen, reason = await _choose(cluster, name, pod, py_spy=py_spy)
        console.print_line(f"sampling pod {chosen.name} for {seconds} s: {reason}", to_stderr=True)
        if not py_spy:
            return chosen.name, await _request_profile(cluster, chosen, seconds, idle=idle)
        try:
            return chosen.name, await spy.sample(
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
            inputs.fail(str(error))
        except ApiError as error:
            inputs.fail(f"pod {chosen.name}: cannot add an ephemeral container: {error}")

    sampled_pod, text = run_with_cluster(
        work, kubeconfig=kubeconfig, context=context, namespace=namespace
    )
    try:
        result = Profile(text)
    except ValueError as error:
        inputs.fail(f"pod {sampled_pod}: {error}")
    title = f"{name}: pod {sampled_pod}, {seconds} s, {result.samples} samples"
    try:
        output.write_text(
            _page(name, result, sampled_pod, seconds)
            if output.suffix == ".html"
            else result.svg(title)
        )
    except OSError as error:
        inputs.fail(f"-o {output}: {error.strerror}")
    if not result.samples:
        console.print_line(
            "no samples: all threads were waiting for work; add --idle to include them",
            console.WARNING,
            to_stderr=True,
        )
    _print(result, seconds)
    console.print_line(f"flame graph: {output}", to_stderr=True)


def _page(name: str, result: Profile, pod: str, seconds: int) -> str:
    # A graph alone needs no templates.
    from fastapi_operator.views.profile_page import profile_page  # noqa: PLC0415

    return profile_page(name, result, pod=pod, seconds=seconds, hertz=_HERTZ)


async def _choose(cluster: Cluster, name: str, requested: str | None, *, py_spy: bool) -> Choice:
    """Returns the requested pod, or else the most loaded one, with the reason."""
    await cluster.read_service(name)
    found = await pods.pods_of(cluster.client, cluster.namespace, name)
    of_app = {pod.name: pod for pod in found if pod.part is Part.APP}
    if requested is not None:
        if requested not in of_app:
            known = ", ".join(of_app) or "none"
            inputs.fail(f"--pod {requested}: not an app pod of {name}; its app pods: {known}")
        return Choice(of_app[requested], "as requested")
    if py_spy:
        running = [pod for pod in of_app.values() if pod.running]
        if not running:
            inputs.fail(
                f"{name}: no app pod is running; see why with: {cluster.command('status', name)}"
            )
        return await find_busiest(cluster, name, running)
    observation = await observe(
        cluster, name, url=None, seconds=_CHOICE_SECONDS, alternative="--py-spy"
    )
    busiest = most_loaded(observation.signals.app)
    if busiest is None:
        inputs.fail(
            f"{name}: no pod exposes the runtime's metrics; add --py-spy, or install "
            "fastapi-operator-runtime in the image"
        )
    reason = (
        f"{100 * busiest.late:.0f} % of the time late event loop and {busiest.cpu:.2f} CPU per "
        f"worker, the most of {len(observation.signals.app)} app pods"
    )
    return Choice(next(pod for pod in observation.pods if pod.name == busiest.pod), reason)


def most_loaded(app: Iterable[AppPod]) -> AppPod | None:
    """Returns the pod with the largest sum of event-loop delay and CPU use."""
    return max(app, key=lambda pod: pod.late + pod.cpu, default=None)


async def _request_profile(cluster: Cluster, pod: pods.LivePod, seconds: int, *, idle: bool) -> str:
    if pod.diagnostics_port is None:
        inputs.fail(
            f"pod {pod.name} serves no profile: set spec.observability.profiling.enabled to true, "
            "or add --py-spy"
        )
    address = f"/debug/profile?seconds={seconds}&hertz={_HERTZ}&idle={int(idle)}"
    try:
        return await pods.page(
            cluster.client,
            cluster.namespace,
            pod.name,
            pod.diagnostics_port,
            address,
            seconds=seconds + _RESPONSE_SECONDS,
        )
    except ApiError as error:
        if error.reason == "PortForward":
            inputs.fail(
                f"pod {pod.name} serves no profile on port {pod.diagnostics_port}: install "
                f"fastapi-operator-runtime in the image, or add --py-spy ({error.message})"
            )
        if error.status == 429:
            inputs.fail(f"pod {pod.name} takes another profile; repeat the command when it ends")
        inputs.fail(f"pod {pod.name}: {explain_refusal(error)}")


def _print(result: Profile, seconds: int) -> None:
    expected = seconds * _HERTZ
    rows = (
        [f"{100 * line.own / expected:.1f} %", f"{100 * line.total / expected:.1f} %", line.place]
        for line in result.top()
    )
    for line in table.format_lines(("itself", "with calls", "file:function:line"), rows):
        console.print_line(line)
