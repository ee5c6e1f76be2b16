"""Runs py-spy in an ephemeral container, which samples the app's processes."""

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
# Time to pull the image and to start the container.
_START_SECONDS = 120
_POLL_SECONDS = 1
_FRAME = re.compile(r"(?P<function>.+) \((?P<file>[^()]+):(?P<line>\d+)\)")
_NO_IMAGE = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "CreateContainerError")


class SpyError(Exception):
    """No profile could be taken; the message has the reason and the remedy."""


async def sample(
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
    """Samples the app's processes in a pod; returns one line for each stack, as the runtime does.

    The container ends after the sampling; its entry stays until the pod is replaced.

    Args:
        client: Sends the requests; needs patch on pods/ephemeralcontainers.
        namespace: The pod's namespace.
        pod: The pod's name.
        image: An image with py-spy.
        seconds: Duration in seconds.
        hertz: Samples per second.
        idle: Whether idle threads are included.
        privileged: Root with SYS_PTRACE instead of the app's own user.

    Raises:
        ApiError: The API server refused, for example because of the namespace's policy.
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
    # The patch replaces the whole list: the resourceVersion protects containers added meanwhile.
    patch = {
        "metadata": {"resourceVersion": body.get("metadata", {}).get("resourceVersion")},
        "spec": {"ephemeralContainers": [*known, container]},
    }
    await client.merge(POD, namespace, pod, patch, subresource="ephemeralcontainers")
    code = await _wait_for_end(client, namespace, pod, name, within=_START_SECONDS + seconds)
    text = await client.text(f"{POD.path(namespace, pod, 'log')}?container={name}")
    if code != 0:
        raise SpyError(_why(pod, text))
    return "\n".join(stacks(text))


def stacks(text: str) -> Iterator[str]:
    """Converts the output of py-spy to lines of a profile, without py-spy's own messages.

    A frame is ``function (file:line)`` in py-spy and ``file:function:line`` in a profile.
    """
    for line in text.splitlines():
        stack, _, count = line.rpartition(" ")
        if stack and count.isdigit() and not line.startswith("py-spy>"):
            frames = (_FRAME.sub(r"\g<file>:\g<function>:\g<line>", it) for it in stack.split(";"))
            yield f"{';'.join(frames)} {count}"


async def _wait_for_end(
    client: Client, namespace: str, pod: str, name: str, *, within: float
) -> int:
    """Waits until the container has ended; returns its exit code."""
    end, state = time.monotonic() + within, {}
    while time.monotonic() < end:
        body = await client.get(POD, namespace, pod)
        if body is None:
            raise SpyError(f"pod {pod} was deleted")
        state = _state(body, name)
        if "terminated" in state:
            return int(state["terminated"]["exitCode"])
        waiting = state.get("waiting", {})
        if waiting.get("reason") in _NO_IMAGE:
            raise SpyError(
                f"pod {pod}: {waiting['reason']}: {waiting.get('message', '')}; set --image to an "
                "image with py-spy"
            )
        await asyncio.sleep(_POLL_SECONDS)
    raise SpyError(f"pod {pod}: container {name} did not end within {within:g} s: {state}")


def _state(body: Mapping[str, Any], name: str) -> dict[str, Any]:
    for status in body.get("status", {}).get("ephemeralContainerStatuses") or ():
        if status["name"] == name:
            return dict(status.get("state") or {})
    return {}


def _as_the_app(body: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a context of the restricted standard, with the app's user to read its memory."""
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
            f"pod {pod}: the node does not permit a process to read another one of the same user "
            "(kernel.yama.ptrace_scope); use --privileged, which needs SYS_PTRACE and is refused "
            "in a namespace with the restricted or baseline standard"
        )
    last = [line for line in text.splitlines() if line.strip()][-3:]
    return f"pod {pod}: py-spy failed: {' '.join(last)[:400]}"
