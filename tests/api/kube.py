"""The tests' own way to the API server: plain requests under another name than the operator's."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import urllib3
import yaml
from kubernetes import client, config

TESTER = "tester"


class RefusedError(Exception):
    """A response other than success."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status
        self.message = message


class Kube:
    """Sends requests with the administrator's kubeconfig."""

    def __init__(self, kubeconfig: Path) -> None:
        configuration = client.Configuration()
        config.load_kube_config(config_file=str(kubeconfig), client_configuration=configuration)
        self._host = configuration.host
        self._pool = urllib3.PoolManager(
            maxsize=8,
            ca_certs=configuration.ssl_ca_cert,
            cert_file=configuration.cert_file,
            key_file=configuration.key_file,
        )
        self._headers = {"User-Agent": "tests"}
        token = configuration.get_api_key_with_prefix("BearerToken")
        if token:
            self._headers["Authorization"] = token

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        content_type: str = "application/json",
        **query: str,
    ) -> dict[str, Any]:
        """One request; returns the parsed body."""
        url = f"{self._host}{path}" + (f"?{urlencode(query)}" if query else "")
        response = self._pool.request(
            method,
            url,
            body=None if body is None else json.dumps(body),
            headers={**self._headers, "Content-Type": content_type},
            timeout=30,
        )
        if response.status >= 300:
            raise RefusedError(response.status, _message(response.data))
        answer: dict[str, Any] = json.loads(response.data)
        return answer

    def get(self, path: str) -> dict[str, Any] | None:
        """One object, or None."""
        try:
            return self.request("GET", path)
        except RefusedError as error:
            if error.status == 404:
                return None
            raise

    def items(self, path: str, **query: str) -> list[dict[str, Any]]:
        """The objects of a collection."""
        return self.request("GET", path, **query)["items"]

    def apply(self, path: str, body: Any, *, manager: str = TESTER, **query: str) -> dict[str, Any]:
        """Server-side apply."""
        return self.request(
            "PATCH",
            path,
            body,
            content_type="application/apply-patch+yaml",
            fieldManager=manager,
            fieldValidation="Strict",
            **query,
        )

    def patch(self, path: str, body: Any, *, manager: str = TESTER) -> dict[str, Any]:
        """JSON merge patch, as an editor would send it."""
        return self.request(
            "PATCH", path, body, content_type="application/merge-patch+json", fieldManager=manager
        )

    def delete(self, path: str, **query: str) -> None:
        """Deletes an object; that it is gone already is fine."""
        try:
            self.request("DELETE", path, **query)
        except RefusedError as error:
            if error.status != 404:
                raise


def _message(data: bytes) -> str:
    try:
        return str(json.loads(data).get("message", ""))
    except ValueError:
        return data.decode()


def audited(log: Path, since: int = 0) -> list[Mapping[str, Any]]:
    """The requests in the API server's audit log, from a byte offset on."""
    with log.open("rb") as lines:
        if since:
            # The mark may fall into a line that was just being written: that request came before.
            lines.seek(since - 1)
            lines.readline()
        return [json.loads(line) for line in lines if line.endswith(b"\n")]


def service_body(name: str, namespace: str, **spec: Any) -> dict[str, Any]:
    """A FastAPIService."""
    return {
        "apiVersion": "fastapi-operator.io/v1alpha1",
        "kind": "FastAPIService",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"image": "registry.test/shop:1", **spec},
    }


def to_yaml(body: Any) -> str:
    """A body for kubectl."""
    return yaml.safe_dump(body)
