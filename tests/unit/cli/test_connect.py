"""Commands that other commands print."""

from typing import cast

import pytest

from fastapi_operator.cli.connect import Cluster
from fastapi_operator.cluster.client import Client


@pytest.mark.parametrize(
    ("context", "command"),
    [
        (None, "fastapi-operator status shop -n team-a"),
        ("kind-kind", "fastapi-operator status shop -n team-a --context kind-kind"),
    ],
)
def test_a_printed_command_is_for_the_same_cluster_and_namespace(
    context: str | None, command: str
) -> None:
    assert Cluster(cast("Client", None), "team-a", context).command("status", "shop") == command
