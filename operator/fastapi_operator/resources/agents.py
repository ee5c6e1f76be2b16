"""Datadog's and New Relic's own agents: how each starts in a process, and its variables.

The vendor's program puts its start-up module on PYTHONPATH, so that the workers of a server start
the agent too. The image contains the program, because an agent must match the app's libraries.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from fastapi_operator.api.observability import Agent
from fastapi_operator.resources import telemetry
from fastapi_operator.resources.inputs import Inputs
from fastapi_operator.resources.variable import SecretKey, Value

Read = Callable[[Inputs], Value]


class Setting(NamedTuple):
    """One variable of an agent: its name, meaning and value."""

    name: str
    meaning: str
    value: Read


@dataclass(frozen=True)
class _Vendor:
    """The agent of one vendor.

    Attributes:
        command: The program that starts another one with the agent.
        key: The default key in the Secret.
        settings: The variables that the agent reads; the Secret's value is in the first.
    """

    command: tuple[str, ...]
    key: str
    settings: tuple[Setting, ...]


def _of_secret(inputs: Inputs) -> Value:
    agent = _agent(inputs)
    assert agent is not None, "only an agent has variables"
    reference = agent.secret_ref
    return SecretKey(reference.name, reference.key or _VENDORS[agent.engine].key)


def _version(inputs: Inputs) -> Value:
    return telemetry.version(inputs.spec.image)


_VENDORS: Mapping[str, _Vendor] = {
    "Datadog": _Vendor(
        command=("ddtrace-run",),
        key="agent-url",
        settings=(
            Setting("DD_TRACE_AGENT_URL", "address of the Datadog Agent", _of_secret),
            Setting("DD_SERVICE", "name of the service in Datadog", lambda inputs: inputs.name),
            Setting("DD_ENV", "environment in Datadog", telemetry.environment_name),
            Setting("DD_VERSION", "version of the app in Datadog", _version),
        ),
    ),
    "NewRelic": _Vendor(
        command=("newrelic-admin", "run-program"),
        key="license-key",
        settings=(
            Setting("NEW_RELIC_LICENSE_KEY", "licence key of New Relic", _of_secret),
            Setting(
                "NEW_RELIC_APP_NAME", "name of the service in New Relic", lambda inputs: inputs.name
            ),
            Setting(
                "NEW_RELIC_LABELS",
                "environment in New Relic",
                lambda inputs: f"Environment:{telemetry.environment_name(inputs)}",
            ),
            Setting("NEW_RELIC_METADATA_SERVICE_VERSION", "version of the app", _version),
            Setting(
                "NEW_RELIC_LOG",
                "the agent's own log, for example a refused key",
                lambda _: "stderr",
            ),
            Setting(
                "NEW_RELIC_LOG_LEVEL", "lowest level of the agent's own log", lambda _: "warning"
            ),
        ),
    ),
}


def with_agent(inputs: Inputs, command: Sequence[str]) -> tuple[str, ...]:
    """Returns a command that starts the service's agent, if it has one, in its processes.

    An empty command stays empty: it is that of the image, which a program before it would replace.
    """
    agent = _agent(inputs) if command else None
    wrapper = _VENDORS[agent.engine].command if agent is not None else ()
    is_wrapped = command[: len(wrapper)] == wrapper
    return tuple(command) if is_wrapped else (*wrapper, *command)


def _agent(inputs: Inputs) -> Agent | None:
    return inputs.spec.observability.agent if inputs.spec.observability is not None else None


def _only_for(engine: str, value: Read) -> Read:
    def read(inputs: Inputs) -> Value:
        agent = _agent(inputs)
        return value(inputs) if agent is not None and agent.engine == engine else None

    return read


# Rows of the environment contract, each only for its own agent.
SETTINGS: tuple[Setting, ...] = tuple(
    item._replace(value=_only_for(engine, item.value))
    for engine, vendor in _VENDORS.items()
    for item in vendor.settings
)
