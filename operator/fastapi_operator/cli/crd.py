"""``crd``: the CustomResourceDefinition."""

import typer
import yaml

from fastapi_operator.api.crd import crd as custom_resource_definition


def crd() -> None:
    """Print the CustomResourceDefinition.

    Apply it before the first FastAPIService.

    Examples:
      fastapi-operator crd | kubectl apply --server-side -f -

    Exit status:
      0  the definition is printed
    """
    typer.echo(yaml.safe_dump(custom_resource_definition(), sort_keys=False, width=100), nl=False)
