"""Values of the environment contract for logs, traces and errors.

The resource attributes contain no instance id. The OpenTelemetry SDK generates one for each
process; with one for the whole pod, its workers would overwrite each other's series.
"""

from decimal import Decimal

from fastapi_operator.api.model import SecretValue
from fastapi_operator.api.observability import Errors, Logs, Observability, Traces
from fastapi_operator.resources.inputs import Inputs
from fastapi_operator.resources.variable import SecretKey, Value

_DEFAULT_LEVEL = "info"


def log_level(inputs: Inputs) -> Value:
    """Returns the lowest level of log lines that are written."""
    return (_section(inputs).logs or Logs()).level or _DEFAULT_LEVEL


def endpoint(inputs: Inputs) -> Value:
    """Returns the collector's address; None if no traces are sent."""
    return (_section(inputs).traces or Traces()).endpoint


def headers(inputs: Inputs) -> Value:
    """Returns the Secret key with the collector's headers; None if no traces are sent."""
    traces = _section(inputs).traces or Traces()
    return _key(traces.headers_secret_ref, "headers") if traces.endpoint is not None else None


def sample_share(inputs: Inputs) -> Value:
    """Returns the share of new traces that are kept, between 0 and 1."""
    percent = inputs.plan.observability.trace_sample_percent
    return f"{Decimal(percent.value) / 100:f}" if percent is not None else None


def resource_attributes(inputs: Inputs) -> Value:
    """Returns the attributes that identify this deployment; None if no traces are sent."""
    if endpoint(inputs) is None:
        return None
    attributes = {
        "service.namespace": inputs.namespace,
        "service.version": version(inputs.spec.image),
        "deployment.environment.name": environment_name(inputs),
        "k8s.namespace.name": inputs.namespace,
        "k8s.deployment.name": inputs.name,
    }
    return ",".join(f"{name}={value}" for name, value in attributes.items())


def sentry_dsn(inputs: Inputs) -> Value:
    """Returns the Secret key with Sentry's DSN; None if errors are not reported."""
    return _key((_section(inputs).errors or Errors()).sentry_secret_ref, "dsn")


def sentry_environment(inputs: Inputs) -> Value:
    """Returns the environment of reported errors; None if errors are not reported."""
    return environment_name(inputs) if sentry_dsn(inputs) is not None else None


def sentry_release(inputs: Inputs) -> Value:
    """Returns the version of reported errors, in Sentry's form."""
    if sentry_dsn(inputs) is None:
        return None
    return f"{inputs.name}@{version(inputs.spec.image)}"


def environment_name(inputs: Inputs) -> str:
    """Returns the environment of the deployment: the one in the spec, or the namespace."""
    return (_section(inputs).errors or Errors()).environment or inputs.namespace


def version(image: str) -> str:
    """Returns the version in an image's name: the tag, or the digest."""
    name, _, digest = image.partition("@")
    tag = name.rpartition("/")[2].partition(":")[2]
    return tag or digest or "latest"


def _section(inputs: Inputs) -> Observability:
    return inputs.spec.observability or Observability()


def _key(reference: SecretValue | None, key: str) -> SecretKey | None:
    return SecretKey(reference.name, reference.key or key) if reference is not None else None
