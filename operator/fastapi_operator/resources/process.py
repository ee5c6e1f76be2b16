"""The pod of a background process or a schedule: the app's image with another command."""

from collections.abc import Mapping
from typing import Any

from fastapi_operator import naming
from fastapi_operator.api.schedule import Background, Schedule
from fastapi_operator.parts import Part
from fastapi_operator.resources import companions, pod
from fastapi_operator.resources.agents import with_agent
from fastapi_operator.resources.app import environment_fields, pod_account
from fastapi_operator.resources.environment import environment_files
from fastapi_operator.resources.inputs import Inputs
from fastapi_operator.resources.variable import Process


def process_name(inputs: Inputs, part: Part, name: str) -> str:
    """Returns the name of the object that runs one entry, different from all other names."""
    return naming.bounded(inputs.name_of(part, name), naming.CRON_JOB_MAX_LENGTH)


def process_template(
    inputs: Inputs,
    part: Part,
    process: Process,
    entry: Background | Schedule,
    *,
    grace_seconds: int,
    spread: bool = False,
    probes: Mapping[str, Any] | None = None,
    **fields: Any,
) -> dict[str, Any]:
    """Builds the pod template of one entry.

    Args:
        inputs: The service, with the entry's plan as ``process``.
        part: The part that the pods belong to.
        process: The process of the environment contract.
        entry: The entry of the spec.
        grace_seconds: Seconds between the request to end and the kill.
        spread: Whether there can be several pods, which are then spread.
        probes: Probes of the container.
        fields: Further fields of the pod.
    """
    plan, spec = inputs.process, inputs.spec
    assert plan is not None, "the pod is one of the plan's processes"
    files, file_volumes = environment_files(inputs, process)
    sidecars = companions.native_sidecars(spec)
    arguments: dict[str, Any] = {"args": list(entry.args)} if entry.args else {}
    container = pod.container(
        entry.name,
        image=spec.image,
        pull_policy=spec.image_pull_policy or "IfNotPresent",
        command=with_agent(inputs, entry.command),
        **arguments,
        **environment_fields(inputs, process, entry.env or ()),
        **(probes or {}),
        resources=pod.resources(
            cpu_request=plan.cpu_request_millicores.value,
            cpu_limit=plan.cpu_limit_millicores.value,
            memory_request=plan.memory_request_bytes.value,
            memory_limit=plan.memory_limit_bytes.value,
        ),
        mounts=files,
        extra_mounts=companions.mounts(spec),
    )
    return pod.pod_template(
        inputs,
        part,
        sidecars=sidecars,
        containers=(container,),
        volumes=[*companions.volumes(spec, (*sidecars, container)), *file_volumes],
        grace_seconds=grace_seconds,
        spread=spread,
        **pod_account(inputs),
        **fields,
    )
