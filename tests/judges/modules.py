"""CRDs with their real schemas, from the Go modules of their projects."""

import functools
import json
from pathlib import Path
from typing import Any

import yaml

from tests.cluster import execution

KUBERNETES = "k8s.io/kubernetes@v1.35.4"
PROMETHEUS = "github.com/prometheus-operator/prometheus-operator@v0.85.0"
# The newest whose client libraries are older than those of the Prometheus operator.
KUBE_STATE = "k8s.io/kube-state-metrics/v2@v2.15.0"
CERT_MANAGER = "github.com/cert-manager/cert-manager@v1.21.2"
KEDA = "github.com/kedacore/keda/v2@v2.21.0"
CLOUDNATIVE_PG = "github.com/cloudnative-pg/cloudnative-pg@v1.27.0"
# 3.2.12 does not compile: a function of its settings is missing. Later ones need a newer Go, or a
# module in a folder that their own module does not have.
ARGO_CD = "github.com/argoproj/argo-cd/v3@v3.2.11"
FLUX = "github.com/fluxcd/kustomize-controller@v1.9.3"
FLUX_SOURCES = "github.com/fluxcd/source-controller@v1.9.2"
# module -> its folder of CustomResourceDefinitions
DEFINITIONS = {
    PROMETHEUS: "example/prometheus-operator-crd",
    # The only channel whose HTTPRoutes have retries.
    "sigs.k8s.io/gateway-api@v1.5.1": "config/crd/experimental",
    CERT_MANAGER: "deploy/crds",
    KEDA: "config/crd/bases",
    CLOUDNATIVE_PG: "config/crd/bases",
    FLUX: "config/crd/bases",
    FLUX_SOURCES: "config/crd/bases",
}


class _Loader(yaml.CSafeLoader):
    """Takes the text "=" for a text; to YAML 1.1 it is a type of its own."""


_Loader.add_constructor("tag:yaml.org,2002:value", yaml.CSafeLoader.construct_yaml_str)


@functools.cache
def folder(module: str) -> Path:
    """Returns the folder of a module; it is downloaded the first time."""
    # Outside of any module, so that this one's version is not resolved against others.
    command = ["go", "-C", "/", "mod", "download", "-json", module]
    return Path(json.loads(execution.output_of(command))["Dir"])


@functools.cache
def definitions(module: str) -> list[dict[str, Any]]:
    """The CustomResourceDefinitions of a module."""
    bodies: list[dict[str, Any]] = [
        body
        for path in sorted((folder(module) / DEFINITIONS[module]).glob("*.yaml"))
        for body in yaml.load_all(path.read_text(), Loader=_Loader)
    ]
    return [body for body in bodies if body and body.get("kind") == "CustomResourceDefinition"]
