"""py-spy beside the app: an ephemeral container that samples its processes from outside."""

import asyncio
import re
import secrets
import time
from collections.abc import Iterator, Mapping
from typing import Any

from fastapi_operator.api.guards import APP_CONTAINER
from fastapi_operator.cluster.client import Client
from fastapi_operator.cluster.kinds import POD

IMAGE = "ghcr.io/fastapi-operator/py-spy:0.4"
# Until an image is pulled and the container has started.
_START_SECONDS = 120
_POLL_SECONDS = 1
_FRAME = re.compile(r"(?P<function>.+) \((?P<file>[^()]+):(?P<line>\d+)\)")
_NO_IMAGE = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "CreateContainerError")


class SpyError(Exception):
    """No profile could be taken; the text says why and what to do."""


async def sampled(
    client: Client,
    namespace: str,
    pod: str,
    *,
    image: str,
    seconds: int,
    hertz: int,
    idle: bool,
    privileged: bool,
) -> str:
    """A profile of the app's processes in a pod, one line a stack, as the runtime's are.

    The container ends with the sampling; its entry stays in the pod until the pod is replaced.

    Args:
        client: Sends the requests; needs patch on pods/ephemeralcontainers.
        namespace: The pod's.
        pod: Its name.
        image: Has py-spy.
        seconds: How long to sample.
        hertz: Samples a second.
        idle: Whether threads that wait are counted as well.
        privileged: Root with SYS_PTRACE instead of the app's own user.

    Raises:
        ApiError: The API server refused, such as for the namespace's policy.
        SpyError: The container did not start, or py-spy could not read the processes.
    """
    body = await client.get(POD, namespace, pod) or {}
    name = f"py-spy-{secrets.token_hex(3)}"
    container = {
        "name": name,
        "image": image,
        "targetContainerName": APP_CONTAINER,
        "command": [
            *("py-spy", "record", "--pid", "1", "--subprocesses", "--format", "raw"),
            *("--output", "/dev/stdout", "--duration", str(seconds), "--rate", str(hertz)),
            *(("--idle",) if idle else ()),
        ],
        "securityContext": _privileged() if privileged else _as_the_app(body),
    }
    known = body.get("spec", {}).get("ephemeralContainers") or []
    # A list is replaced as a whole: the version keeps another's container from being lost.
    patch = {
        "metadata": {"resourceVersion": body.get("metadata", {}).get("resourceVersion")},
        "spec": {"ephemeralContainers": [*known, container]},
    }
    await client.merge(POD, namespace, pod, patch, subresource="ephemeralcontainers")
    code = await _ended(client, namespace, pod, name, within=_START_SECONDS + seconds)
    text = await client.text(f"{POD.path(namespace, pod, 'log')}?container={name}")
    if code != 0:
        raise SpyError(_why(pod, text))
    return "\n".join(stacks(text))


def stacks(text: str) -> Iterator[str]:
    """Lines of a profile from what py-spy printed, its own remarks left out.

    A frame of py-spy's is ``function (file:line)``, one of a profile ``file:function:line``.
    """
    for line in text.splitlines():
        stack, _, count = line.rpartition(" ")
        if stack and count.isdigit() and not line.startswith("py-spy>"):
            frames = (_FRAME.sub(r"\g<file>:\g<function>:\g<line>", it) for it in stack.split(";"))
            yield f"{';'.join(frames)} {count}"


async def _ended(client: Client, namespace: str, pod: str, name: str, *, within: float) -> int:
    """Waits for the container's end; its exit code."""
    end, state = time.monotonic() + within, {}
    while time.monotonic() < end:
        body = await client.get(POD, namespace, pod)
        if body is None:
            raise SpyError(f"pod {pod} is gone")
        state = _state(body, name)
        if "terminated" in state:
            return int(state["terminated"]["exitCode"])
        waiting = state.get("waiting", {})
        if waiting.get("reason") in _NO_IMAGE:
            raise SpyError(
                f"pod {pod}: {waiting['reason']}: {waiting.get('message', '')}; name an image that "
                "has py-spy by --image"
            )
        await asyncio.sleep(_POLL_SECONDS)
    raise SpyError(f"pod {pod}: container {name} did not end within {within:g} s: {state}")


def _state(body: Mapping[str, Any], name: str) -> dict[str, Any]:
    for status in body.get("status", {}).get("ephemeralContainerStatuses") or ():
        if status["name"] == name:
            return dict(status.get("state") or {})
    return {}


def _as_the_app(body: Mapping[str, Any]) -> dict[str, Any]:
    """What the restricted standard admits; the app's user, since only that may read its memory."""
    context: dict[str, Any] = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    for status in body.get("status", {}).get("containerStatuses") or ():
        user = status.get("user", {}).get("linux") if status["name"] == APP_CONTAINER else None
        if user is not None:
            context |= {"runAsUser": user["uid"], "runAsGroup": user["gid"]}
    return context


def _privileged() -> dict[str, Any]:
    return {
        "capabilities": {"drop": ["ALL"], "add": ["SYS_PTRACE"]},
        "runAsUser": 0,
        "runAsNonRoot": False,
    }


def _why(pod: str, text: str) -> str:
    if "ermission denied" in text or "not permitted" in text:
        return (
            f"pod {pod}: the node does not let a process read another of the same user "
            "(kernel.yama.ptrace_scope); --privileged asks for SYS_PTRACE, which a namespace of "
            "the restricted or baseline standard refuses"
        )
    last = [line for line in text.splitlines() if line.strip()][-3:]
    return f"pod {pod}: py-spy failed: {' '.join(last)[:400]}"
