"""``monitoring``: the alerts, dashboards and monitor that all services share."""

from typing import Annotated

import typer
import yaml

from fastapi_operator.cli import inputs
from fastapi_operator.observability import shared
from fastapi_operator.observability.shared import Shared

_DEFAULT_KINDS = [Shared.RULES, Shared.MONITORS, Shared.DASHBOARDS]


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
            help="Label for every object, for example release=kube-prometheus-stack. Repeatable.",
            metavar="KEY=VALUE",
        ),
    ] = None,
    kind: Annotated[
        list[Shared] | None,
        typer.Option(
            "-k",
            "--kind",
            help="Kind to print: rules, monitors, dashboards or, for the Grafana operator, "
            "grafana-dashboards. Repeatable. Default: the first three.",
            metavar="KIND",
        ),
    ] = None,
    settings: inputs.SettingsOption = None,
) -> None:
    """Print the shared alerts, dashboards and monitor.

    Apply them once per cluster, unless the operator's chart installs them. No cluster is needed.

    Examples:
      fastapi-operator monitoring -n monitoring | kubectl apply --server-side -f -
      fastapi-operator monitoring -k rules -l release=kube-prometheus-stack

    Exit status:
      0  the objects are printed
      2  an input cannot be read
    """
    documents = shared.objects(
        kind or _DEFAULT_KINDS,
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
            inputs.fail(f"--label {text}: must be KEY=VALUE, for example release=prometheus")
        labels[key] = value
    return labels
