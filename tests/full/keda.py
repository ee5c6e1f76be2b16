"""KEDA's operator and its metrics server as processes of the node, and a Prometheus for them."""

import base64
import contextlib
import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fastapi_operator import naming
from tests import promtool
from tests.cluster import certificates, instances, processes
from tests.full.conftest import NODE
from tests.judges import controllers, modules
from tests.kubectl import Kubectl

NAMESPACE = "keda"
_API = "v1beta1.external.metrics.k8s.io"
_SERVER = "keda-metrics-apiserver"
_OPERATOR = "keda-operator.keda.svc.cluster.local"
# Ports of the node that nothing else uses: all of its programs share one address.
_METRICS_PORT, _SERVICE_PORT, _PROMETHEUS_PORT = 4444, 9666, 19090


def require() -> None:
    """Skips the test if KEDA is not built."""
    if controllers.built("keda") is None:
        pytest.skip("keda is not built; `make judges` builds it")


@contextlib.contextmanager
def running(kubectl: Kubectl) -> Iterator[None]:
    """Installs the definitions and runs both programs; afterwards all of it is removed."""
    folder, instance = controllers.built("keda"), instances.find(NODE)
    assert folder is not None and instance is not None
    definitions = str(modules.folder(modules.KEDA) / modules.DEFINITIONS[modules.KEDA])
    authority = certificates.Authority(instance.state / "certificates")
    secrets = _certificates(authority, instance)
    node = processes.Processes(instance.state)
    operator = [*_with_cluster_dns(instance), folder / "operator", f"--cert-dir={secrets}"]
    operator += ["--enable-prometheus-metrics=false", "--health-probe-bind-address=0"]
    operator += [f"--metrics-service-bind-address=:{_SERVICE_PORT}"]
    server: list[str | Path] = [folder / "adapter", f"--cert-dir={secrets}", "--port=18082"]
    server += [f"--secure-port={_METRICS_PORT}", f"--bind-address={instance.node_address}"]
    server += [f"--tls-cert-file={secrets / 'tls.crt'}"]
    server += [f"--tls-private-key-file={secrets / 'tls.key'}"]
    for client in ("authentication", "authorization", "lister"):
        server.append(f"--{client}-kubeconfig={instance.kubeconfig}")
    server.append(f"--metrics-service-address={instance.node_address}:{_SERVICE_PORT}")
    server.append(f"--metrics-service-grpc-authority={_OPERATOR}")
    kubectl("apply", "--server-side", "-f", definitions)
    try:
        kubectl("wait", "--for=condition=Established", "-f", definitions)
        kubectl.apply(*_objects(authority, instance))
        # An empty WATCH_NAMESPACE is all of them.
        known = {"WATCH_NAMESPACE": "", "POD_NAMESPACE": NAMESPACE}
        known["KEDA_CLUSTER_OBJECT_NAMESPACE"] = NAMESPACE
        for name, command in (("keda-operator", operator), ("keda-adapter", server)):
            node.start(
                name,
                command,
                network_namespace=instance.network_namespace,
                environment={"KUBECONFIG": str(instance.kubeconfig), **known},
            )
        node.wait_until("keda-adapter", lambda: _is_served(kubectl), seconds=90)
        yield
        for name in ("keda-operator", "keda-adapter"):
            assert node.is_running(name), node.log(name).read_text()[-2000:]
    finally:
        # KEDA's finalizer is on each ScaledObject, so they are deleted while it runs.
        for kind in ("fastapiservices", "scaledobjects"):
            kubectl("delete", kind, "--all", "--all-namespaces", "--timeout=60s")
        for name in ("keda-adapter", "keda-operator"):
            node.stop(name, grace_seconds=5)
        kubectl("delete", "apiservice", _API, "--ignore-not-found")
        kubectl("delete", "--ignore-not-found", "--wait=false", "-f", definitions)


@contextlib.contextmanager
def prometheus(kubectl: Kubectl, namespace: str, service: str) -> Iterator[str]:
    """A Prometheus that scrapes the app's pods of a service every two seconds; its address."""
    instance = instances.find(NODE)
    assert instance is not None
    folder = instance.state / "prometheus"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    pods = folder / "pods.json"
    scrape = {
        "job_name": "pods",
        "scrape_interval": "2s",
        "file_sd_configs": [{"files": [str(pods)]}],
    }
    # JSON is YAML.
    (folder / "prometheus.yml").write_text(json.dumps({"scrape_configs": [scrape]}))
    address = f"{instance.node_address}:{_PROMETHEUS_PORT}"
    node, over = processes.Processes(instance.state), threading.Event()

    def follow() -> None:
        labels = {"namespace": namespace, naming.SERVICE_SERIES_LABEL: service}
        while not over.wait(1.0):
            found = kubectl.json("get", "pods", "-n", namespace, "-l", _APP.format(service))
            running = (pod for pod in found["items"] if pod["status"].get("podIP"))
            targets = [f"{pod['status']['podIP']}:9000" for pod in running]
            partial = folder / "pods.partial"
            partial.write_text(json.dumps([{"targets": targets, "labels": labels}]))
            partial.rename(pods)

    thread = threading.Thread(target=follow)
    thread.start()
    try:
        program = promtool.promtool().with_name("prometheus")
        options = [f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
        node.start(
            "prometheus",
            [program, *options, f"--web.listen-address={address}"],
            network_namespace=instance.network_namespace,
        )
        yield f"http://{address}"
        assert node.is_running("prometheus"), node.log("prometheus").read_text()[-2000:]
    finally:
        over.set()
        thread.join()
        node.stop("prometheus", grace_seconds=5)


_APP = "fastapi-operator.io/service={},app.kubernetes.io/component=app"


def _is_served(kubectl: Kubectl) -> bool:
    found = kubectl.json("get", "apiservice", _API).get("status", {}).get("conditions", ())
    return any(one["type"] == "Available" and one["status"] == "True" for one in found)


def _certificates(authority: certificates.Authority, instance: instances.Instance) -> Path:
    """The folder with the certificates by which both programs know each other."""
    hosts = [_OPERATOR, f"{_SERVER}.{NAMESPACE}.svc", instance.node_address]
    certificate, key = authority.issue("keda", "keda", hosts=hosts)
    folder = instance.state / "keda"
    folder.mkdir(exist_ok=True)
    for source, name in ((authority.certificate, "ca.crt"), (certificate, "tls.crt")):
        shutil.copyfile(source, folder / name)
    shutil.copyfile(key, folder / "tls.key")
    return folder


def _with_cluster_dns(instance: instances.Instance) -> list[str | Path]:
    """The beginning of a command that resolves names as pods do."""
    path = instance.state / "keda/resolv.conf"
    path.write_text(
        f"nameserver {instance.node_address}\n"
        "search svc.cluster.local cluster.local\noptions ndots:5\n"
    )
    bind = f'mount --bind {path} /etc/resolv.conf && exec "$@"'
    return ["unshare", "--mount", "sh", "-c", bind, "sh"]


def _objects(
    authority: certificates.Authority, instance: instances.Instance
) -> Iterator[dict[str, Any]]:
    """The aggregated API, and a Service without selector that leads to the process."""
    here = {"name": _SERVER, "namespace": NAMESPACE}
    labels = {"kubernetes.io/service-name": _SERVER}
    yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    port = {"name": "https", "port": 443, "targetPort": _METRICS_PORT}
    yield {"apiVersion": "v1", "kind": "Service", "metadata": here, "spec": {"ports": [port]}}
    yield {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {**here, "labels": labels},
        "addressType": "IPv4",
        "ports": [{"name": "https", "port": _METRICS_PORT, "protocol": "TCP"}],
        "endpoints": [{"addresses": [instance.node_address], "conditions": {"ready": True}}],
    }
    yield {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": _API},
        "spec": {
            "group": "external.metrics.k8s.io",
            "version": "v1beta1",
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
            "caBundle": base64.b64encode(authority.certificate.read_bytes()).decode(),
            "service": here,
        },
    }
