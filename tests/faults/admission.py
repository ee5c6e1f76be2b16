"""Mutating webhooks of a platform team: they change objects while the operator writes them."""

import base64
import contextlib
import copy
import json
import ssl
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from fastapi_operator import naming
from tests.api.kube import Kube
from tests.cluster.certificates import Authority
from tests.faults.fleet import NAMESPACES
from tests.faults.judge import INJECTED

# Changes an object in place, before the API server stores it.
Change = Callable[[dict[str, Any]], None]

MIRROR = "mirror.test/"
_PROBED = "/api/v1/namespaces/default/configmaps"
_CONFIGURATIONS = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
# Resources by API group.
_KINDS = {"apps": ("deployments", "statefulsets"), "": ("configmaps", "services")}
_IN_EFFECT_SECONDS = 60.0


def additions(kube: Kube, folder: Path) -> contextlib.AbstractContextManager[None]:
    """A webhook that adds labels, annotations, an environment variable and a toleration."""

    def change(body: dict[str, Any]) -> None:
        metadata = body["metadata"]
        if metadata.get("namespace") not in NAMESPACES:
            return
        metadata.setdefault("labels", {})[f"{INJECTED}/team"] = "blue"
        metadata.setdefault("annotations", {})[f"{INJECTED}/checked"] = "yes"
        if "template" in body.get("spec", {}):
            _add_to_pods(body["spec"]["template"]["spec"])

    return _webhook(kube, folder, "additions", change)


def _add_to_pods(pod: dict[str, Any]) -> None:
    _append(pod, "tolerations", {"key": f"{INJECTED}/pool", "operator": "Exists"})
    for container in pod["containers"]:
        _append(container, "env", {"name": f"{INJECTED}.mesh", "value": "on"})


def _append(holder: dict[str, Any], field: str, item: Any) -> None:
    items = holder.setdefault(field, [])
    if item not in items:
        items.append(item)


def overriding(
    kube: Kube, folder: Path, services: Collection[str]
) -> contextlib.AbstractContextManager[None]:
    """A webhook that takes the images in the Deployments of services from a mirror."""

    def change(body: dict[str, Any]) -> None:
        service = body["metadata"].get("labels", {}).get(naming.SERVICE_LABEL)
        if body["kind"] == "Deployment" and service in services:
            for container in body["spec"]["template"]["spec"]["containers"]:
                if not container["image"].startswith(MIRROR):
                    container["image"] = MIRROR + container["image"]

    return _webhook(kube, folder, "override", change)


@contextlib.contextmanager
def _webhook(kube: Kube, folder: Path, name: str, change: Change) -> Iterator[None]:
    """Serves a webhook; begins when the API server calls it for each write."""
    authority = Authority(folder / name)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("webhook", "webhook", hosts=["127.0.0.1"]))
    reached = threading.Event()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(change, reached))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, name=name, daemon=True)
    thread.start()
    name = f"{name}.{INJECTED}"
    url = f"https://127.0.0.1:{server.server_port}/"
    kube.request("POST", _CONFIGURATIONS, _configuration(name, url, authority.certificate))
    try:
        _await_call(kube, reached)
        yield
    finally:
        kube.delete(f"{_CONFIGURATIONS}/{name}")
        server.shutdown()
        server.server_close()
        thread.join()


def _configuration(name: str, url: str, authority: Path) -> dict[str, Any]:
    bundle = base64.b64encode(authority.read_bytes()).decode()
    rules = [
        {
            "apiGroups": [group],
            "apiVersions": ["v1"],
            "resources": list(resources),
            "operations": ["CREATE", "UPDATE"],
        }
        for group, resources in _KINDS.items()
    ]
    webhook = {
        "name": name,
        "clientConfig": {"url": url, "caBundle": bundle},
        "rules": rules,
        "failurePolicy": "Fail",
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
    }
    return {"metadata": {"name": name}, "webhooks": [webhook]}


def _await_call(kube: Kube, reached: threading.Event) -> None:
    deadline = time.monotonic() + _IN_EFFECT_SECONDS
    while not reached.wait(0.2):
        assert time.monotonic() < deadline, "the API server does not call the webhook"
        kube.request("POST", _PROBED, {"metadata": {"generateName": "probe-"}}, dryRun="All")


def _handler(change: Change, reached: threading.Event) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            reached.set()
            answer = json.dumps(_reviewed(review, change)).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", f"{len(answer)}")
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Logs nothing: the audit log of the API server has each request."""

    return Handler


def _reviewed(review: Mapping[str, Any], change: Change) -> dict[str, Any]:
    before = review["request"]["object"]
    body = copy.deepcopy(before)
    change(body)
    patch = [
        {"op": "replace", "path": f"/{field}", "value": value}
        for field, value in body.items()
        if value != before[field]
    ]
    response = {"uid": review["request"]["uid"], "allowed": True}
    if patch:
        response["patchType"] = "JSONPatch"
        response["patch"] = base64.b64encode(json.dumps(patch).encode()).decode()
    return {"apiVersion": review["apiVersion"], "kind": review["kind"], "response": response}
