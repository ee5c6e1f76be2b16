"""A service whose new versions Argo Rollouts releases, divided by Traefik and judged by Prometheus.

Its controller, Traefik and Prometheus run outside of the cluster. The definitions of Traefik's own
objects have open schemas: its Go module is not available.
"""

import contextlib
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests import traefik
from tests.judges import controllers, modules
from tests.kubectl import eventually
from tests.promtool import promtool
from tests.resilience.scenarios import Bench

HOST = "shop.example.com"
_GROUP = "traefik.io"
_KINDS = (
    *("IngressRoute", "IngressRouteTCP", "IngressRouteUDP", "Middleware", "MiddlewareTCP"),
    *("ServersTransport", "ServersTransportTCP", "TLSOption", "TLSStore", "TraefikService"),
)
_SCRAPE_SECONDS = 5
_LABELS = {"app": "shop"}


@dataclass(frozen=True)
class Check:
    """How its analysis checks the share of errors.

    Attributes:
        name: Its name in the table.
        seconds: The time between two checks.
        failures: The failed checks that do not abort yet.
    """

    name: str
    seconds: int
    failures: int


@dataclass(frozen=True)
class ArgoRollout(Bench):
    """A Rollout, with the phases and shares of its canary as the product reports its own."""

    def get(self) -> dict[str, Any]:
        """Returns phase and share in the place where a FastAPIService has them."""
        found = self.rollout()
        status = found.get("status", {})
        weights = status.get("canary", {}).get("weights", {}).get("canary", {})
        canary = {
            "phase": status.get("phase", "none"),
            "percent": weights.get("weight", 0),
            "verdict": status.get("message", ""),
        }
        return {"metadata": found["metadata"], "status": {"canary": canary}}

    def rollout(self) -> dict[str, Any]:
        """The Rollout as it is."""
        return self.kubectl.json("get", "rollout", self.name, "-n", self.namespace)

    def patch(self, spec: dict[str, Any]) -> None:
        """Replaces the environment of its app."""
        rollout = _rollout(self, spec["env"], (), 0)
        template = {"template": rollout["spec"]["template"]}
        text = yaml.safe_dump({"spec": template})
        self.kubectl(
            *("patch", "rollout", self.name, "-n", self.namespace, "--type", "merge", "-p", text)
        )

    def is_healthy(self) -> bool:
        """Whether the newest version runs alone."""
        found = self.rollout()
        status = found.get("status", {})
        observed = status.get("observedGeneration") == f"{found['metadata']['generation']}"
        return bool(observed and status.get("phase") == "Healthy")

    def is_aborted(self) -> bool:
        """Whether the new version was aborted, and its pods are gone."""
        status = self.rollout().get("status", {})
        return bool(status.get("abort")) and not status.get("updatedReplicas")

    def new_pods(self) -> str:
        """The beginning of the names of the newest version's pods."""
        return f"{self.name}-{self.rollout()['status']['currentPodHash']}-"


def workload(shop: ArgoRollout, steps: Sequence[int], step_seconds: int) -> list[dict[str, Any]]:
    """Returns the Rollout, its Service and its route."""
    return [_rollout(shop, [], steps, step_seconds), _service(shop, shop.name), _route(shop)]


def additions(shop: ArgoRollout, check: Check, prometheus: str) -> list[dict[str, Any]]:
    """Returns the objects that only the canary needs."""
    weighted = [{"name": name, "port": 80} for name in (shop.name, f"{shop.name}-canary")]
    return [
        _service(shop, f"{shop.name}-canary"),
        {
            "apiVersion": f"{_GROUP}/v1alpha1",
            "kind": "TraefikService",
            "metadata": {"name": shop.name, "namespace": shop.namespace},
            "spec": {"weighted": {"services": weighted}},
        },
        _analysis(shop, check, prometheus),
    ]


def _rollout(
    shop: ArgoRollout, env: Sequence[Mapping[str, str]], steps: Sequence[int], step_seconds: int
) -> dict[str, Any]:
    uvicorn = ["uvicorn", "small_app:app", "--host=0.0.0.0", "--port=8000"]
    app = {
        "name": "app",
        "image": shop.app_image,
        "command": uvicorn,
        "env": [*env],
        "ports": [{"containerPort": 8000}],
        "readinessProbe": {"httpGet": {"path": "/items", "port": 8000}, "periodSeconds": 2},
        "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}},
    }
    pauses = [
        step
        for share in steps
        for step in ({"setWeight": share}, {"pause": {"duration": f"{step_seconds}s"}})
    ]
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": shop.name, "namespace": shop.namespace},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": _LABELS},
            "template": {"metadata": {"labels": _LABELS}, "spec": {"containers": [app]}},
            "strategy": {
                "canary": {
                    "canaryService": f"{shop.name}-canary",
                    "stableService": shop.name,
                    "trafficRouting": {"traefik": {"weightedTraefikServiceName": shop.name}},
                    "analysis": {"templates": [{"templateName": "errors"}], "startingStep": 1},
                    "steps": pauses,
                }
            },
        },
    }


def _service(shop: ArgoRollout, name: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": shop.namespace},
        "spec": {"selector": _LABELS, "ports": [{"port": 80, "targetPort": 8000}]},
    }


def _route(shop: ArgoRollout) -> dict[str, Any]:
    to = [{"name": shop.name, "kind": "TraefikService"}]
    rule = {"match": f"Host(`{HOST}`)", "kind": "Rule", "services": to}
    return {
        "apiVersion": f"{_GROUP}/v1alpha1",
        "kind": "IngressRoute",
        "metadata": {"name": shop.name, "namespace": shop.namespace},
        "spec": {"entryPoints": ["web"], "routes": [rule]},
    }


def _analysis(shop: ArgoRollout, check: Check, prometheus: str) -> dict[str, Any]:
    """Returns the analysis of its documentation, on the counters of Traefik."""
    canary = f'service=~"{shop.namespace}-{shop.name}-canary-.*"'
    good, every = (
        f"sum(rate(traefik_service_requests_total{{{canary}{failed}}}[30s]))"
        for failed in (', code!~"5.*"', "")
    )
    metric = {
        "name": "success-rate",
        "interval": f"{check.seconds}s",
        "successCondition": "len(result) == 0 || isNaN(result[0]) || result[0] >= 0.95",
        "failureLimit": check.failures,
        "provider": {"prometheus": {"address": prometheus, "query": f"{good} / {every}"}},
    }
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "AnalysisTemplate",
        "metadata": {"name": "errors", "namespace": shop.namespace},
        "spec": {"metrics": [metric]},
    }


def definitions() -> Iterator[dict[str, Any]]:
    """Yields the CustomResourceDefinitions of Argo Rollouts and of Traefik."""
    folder = modules.folder(controllers.CONTROLLERS["argo-rollouts"].module) / "manifests/crds"
    for path in sorted(folder.glob("*-crd.yaml")):
        yield yaml.safe_load(path.read_text())
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    for kind in _KINDS:
        name = f"{kind.lower()}s"
        version = {"name": "v1alpha1", "served": True, "storage": True}
        yield {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": f"{name}.{_GROUP}"},
            "spec": {
                "group": _GROUP,
                "scope": "Namespaced",
                "names": {"kind": kind, "plural": name},
                "versions": [{**version, "schema": {"openAPIV3Schema": anything}}],
            },
        }


@contextlib.contextmanager
def running(shop: ArgoRollout, folder: Path) -> Iterator[tuple[int, str]]:
    """The definitions, Traefik, Prometheus and the controller, for the length of a block.

    Yields the port of Traefik and the address of Prometheus.
    """
    for body in definitions():
        shop.kubectl("apply", "--server-side", "-f", "-", stdin=traefik.text(body))
    config = shop.kubectl.kubeconfig
    assert config is not None
    scraped, listened = traefik.free_port(), traefik.free_port()
    metrics = {
        "providers.kubernetescrd": "true",
        "entrypoints.metrics.address": f"127.0.0.1:{scraped}",
        "metrics.prometheus": "true",
        "metrics.prometheus.entrypoint": "metrics",
    }
    prometheus = f"127.0.0.1:{listened}"
    interval = f"{_SCRAPE_SECONDS}s"
    job = {"job_name": "traefik", "static_configs": [{"targets": [f"127.0.0.1:{scraped}"]}]}
    (folder / "prometheus.yml").write_text(
        yaml.safe_dump({"global": {"scrape_interval": interval}, "scrape_configs": [job]})
    )
    program = controllers.built("argo-rollouts")
    assert program is not None
    with contextlib.ExitStack() as stack:
        port = stack.enter_context(traefik.running(config, folder / "traefik.log", metrics))
        for name, command in {
            "prometheus": [
                str(promtool().with_name("prometheus")),
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'prometheus'}",
                f"--web.listen-address={prometheus}",
            ],
            "argo-rollouts": [
                str(program / "rollouts-controller"),
                f"--kubeconfig={config}",
                "--leader-elect=false",
                f"--traefik-api-group={_GROUP}",
                f"--traefik-api-version={_GROUP}/v1alpha1",
                f"--metricsPort={traefik.free_port()}",
                f"--healthzPort={traefik.free_port()}",
            ],
        }.items():
            stack.enter_context(_process(command, folder / f"{name}.log"))
        yield port, f"http://{prometheus}"


@contextlib.contextmanager
def _process(command: Sequence[str], log: Path) -> Iterator[None]:
    with log.open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
        try:
            yield
        finally:
            process.terminate()
            process.wait(20)


def lines(*bodies: Mapping[str, Any]) -> int:
    """Returns the lines of objects in YAML."""
    return sum(len(yaml.safe_dump(body).splitlines()) for body in bodies)


def wait_until_healthy(shop: ArgoRollout) -> None:
    """Waits until the newest version runs alone."""
    eventually(shop.is_healthy, seconds=300, what="the Rollout is Healthy", pause=2)
