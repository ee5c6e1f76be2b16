"""The environment of a local run: addresses of this machine, under every name."""

from pathlib import Path

from typer.testing import CliRunner

from fastapi_operator.cli.main import app

SERVICE = """
apiVersion: fastapi-operator.io/v1alpha1
kind: FastAPIService
metadata: {name: shop}
spec:
  image: registry.example.com/shop:1.4.2
  postgres: {}
  queue: {}
  env:
    - {name: LOG_LEVEL, value: debug}
    - {name: API_KEY, valueFrom: {secretKeyRef: {name: shop-secrets, key: api}}}
    - {name: REGION, valueFrom: {configMapKeyRef: {name: shop-config, key: region}}}
    - {name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}
  connections:
    database:
      driver: asyncpg
      direct: {maxConnections: 2}
      env: {POSTGRES_SERVER: Host, POSTGRES_PASSWORD: Password, DB_URI: Url, LISTEN_URI: DirectUrl}
    queue: {env: {CELERY_BROKER_URL: Url}}
"""


def test_own_names_and_driver_point_to_this_machine(tmp_path: Path) -> None:
    file = tmp_path / "service.yaml"
    file.write_text(SERVICE)
    result = CliRunner().invoke(app, ["env", "-f", str(file)])
    assert result.exit_code == 0, result.output
    found = dict(line.split("=", 1) for line in result.stdout.splitlines() if "=" in line)
    assert found["DB_URI"] == found["DATABASE_URL"]
    assert {
        name: found[name]
        for name in ("POSTGRES_SERVER", "POSTGRES_PASSWORD", "DB_URI", "LISTEN_URI")
    } == {
        "POSTGRES_SERVER": "127.0.0.1",
        "POSTGRES_PASSWORD": "",
        "DB_URI": "postgresql+asyncpg://postgres@127.0.0.1:5432/app",
        "LISTEN_URI": "postgresql://postgres@127.0.0.1:5432/app",
    }
    assert found["CELERY_BROKER_URL"] == "redis://127.0.0.1:6379/0"
    assert found["LOG_LEVEL"] == "debug"
    assert "$(" not in result.stdout
    comments = [line for line in result.stdout.splitlines() if line.startswith("#")]
    assert comments == [
        "# API_KEY: in the cluster, it comes from the Secret shop-secrets, key api",
        "# REGION: in the cluster, it comes from the ConfigMap shop-config, key region",
        "# NODE: in the cluster, it comes from the field spec.nodeName of the pod",
    ]
