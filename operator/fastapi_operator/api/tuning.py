"""``spec.tuning``: the use of measurements of a running service."""

from typing import Annotated, Literal

from pydantic import Field

from fastapi_operator.api.model import Model, Quantity


class Resize(Model):
    """Changes of the resources of running pods, without a restart."""

    mode: Literal["Enabled", "Disabled"] | None = Field(
        default=None,
        description="Whether the leak guard may raise the memory limit of a running pod. Default: "
        "Enabled.",
        examples=["Enabled"],
    )
    max_memory: Quantity | None = Field(
        default=None,
        description="Largest memory limit of a running pod of the app, in bytes. Default: twice "
        "its limit, within the ceilings of the profile and the LimitRanges.",
        examples=["1Gi"],
    )


class NumberBound(Model):
    """Bounds of a number that measurements change."""

    name: str = Field(
        pattern=r"^[a-z_]+\.[a-z_]+$",
        max_length=63,
        description="Name of the number, as in explain.",
        examples=["server.threads"],
    )
    min: Quantity | None = Field(
        default=None,
        description="Smallest value to which it is lowered, in bytes, in cores or a number. "
        "Default: none.",
        examples=[16],
    )
    max: Quantity | None = Field(
        default=None,
        description="Largest value to which it is raised, in bytes, in cores or a number. "
        "Default: none.",
        examples=[64],
    )


class Tuning(Model):
    """Use of the service's measurements by the operator."""

    mode: Literal["Disabled", "Recommend", "Automatic"] | None = Field(
        default=None,
        description="Disabled measures nothing. Recommend measures one pod every five minutes, and "
        "writes better numbers with their evidence to status.recommendations. It changes nothing. "
        "Automatic also tries them, one measured figure at a time: a pod with the better numbers "
        "runs as a canary beside the others, and the numbers are kept if it is not worse, and "
        "better or cheaper. It needs rollout.canary. "
        "Default: Recommend.",
        examples=["Recommend"],
    )
    freeze: (
        tuple[Annotated[str, Field(pattern=r"^[a-z_]+\.[a-z_]+$", max_length=63)], ...] | None
    ) = Field(
        default=None,
        max_length=16,
        description="Numbers that no measurement changes or recommends, by their names in explain. "
        "Default: none.",
        examples=[["pool.size"]],
    )
    bounds: tuple[NumberBound, ...] | None = Field(
        default=None,
        max_length=16,
        description="How far measurements change or recommend numbers. The value without a "
        "measurement is always permitted. Default: none.",
        examples=[[{"name": "compute.memory_limit_bytes", "min": "128Mi", "max": "1Gi"}]],
    )
    leak_guard: Literal["Disabled", "Recommend", "Automatic"] | None = Field(
        default=None,
        description="What happens if the memory of a pod grows so fast that it reaches its limit "
        "within the hour. Recommend writes it to status.leak. Automatic also raises the memory "
        "limit of the running pod, and then replaces it before it runs out. Both read each pod of "
        "the app several times a minute. Default: Disabled.",
        examples=["Automatic"],
    )
    resize: Resize | None = Field(
        default=None, description="Changes of the resources of running pods. Default: enabled."
    )
