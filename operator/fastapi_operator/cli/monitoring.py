"""``monitoring``: rules, dashboards and monitor, once for all services of a cluster."""

from typing import Annotated

import typer
import yaml

from fastapi_operator.cli import inputs
from fastapi_operator.observability import shared
from fastapi_operator.observability.shared import Shared

_USUAL = [Shared.RULES, Shared.MONITORS, Shared.DASHBOARDS]


def monitoring(
    namespace: Annotated[
        str,
        typer.Option("-n", "--namespace", help="Namespace of the objects.", metavar="NAME"),
    ] = shared.NAMESPACE,
    label: Annotated[
        list[str] | None,
        typer.Option(
            "-l",
            "--label",
            help="Label of every object, such as release=kube-prometheus-stack; may be given "
            "again.",
            metavar="KEY=VALUE",
        ),
    ] = None,
    kind: Annotated[
        list[Shared] | None,
        typer.Option(
            "-k",
            "--kind",
            help="What to print; may be given again. Default: rules, monitors, dashboards. "
            "grafana-dashboards are for the Grafana operator, beside dashboards.",
        ),
    ] = None,
    settings: inputs.SettingsOption = None,
) -> None:
    """Print the shared alerts, dashboards and monitor, to be applied once; needs no cluster."""
    documents = shared.objects(
        kind or _USUAL,
        namespace=namespace,
        labels=_labels(label or []),
        runbooks=inputs.read_settings(settings, None).runbooks,
    )
    typer.echo(yaml.safe_dump_all(documents, sort_keys=False, width=100), nl=False)


def _labels(given: list[str]) -> dict[str, str]:
    labels = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not (key and equals):
            inputs.stop(f"--label {text}: write KEY=VALUE")
        labels[key] = value
    return labels
