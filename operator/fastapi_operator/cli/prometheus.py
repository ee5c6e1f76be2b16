"""Reads a service's samples from Prometheus over its HTTP API."""

import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable
from typing import Any

from fastapi_operator.cli import inputs
from fastapi_operator.cluster.environment_proxy import proxy_of
from fastapi_operator.naming import SERVICE_SERIES_LABEL
from fastapi_operator.observability import readings
from fastapi_operator.observability.samples import Window, read_matrix

_TIMEOUT_SECONDS = 60
# Prometheus rejects queries for more than 11,000 points per series; a hundred show each burst.
_POINTS = 100


def read_windows(
    url: str, *, namespace: str, service: str, pods: Iterable[str], seconds: int, interval: int
) -> dict[str, Window]:
    """Returns the samples of a service's pods; ends the command if Prometheus cannot be queried.

    Args:
        url: Base URL of Prometheus.
        namespace: Namespace of the service.
        service: Name of the service.
        pods: Names of the pods that exist now.
        seconds: Length of the window that ends now.
        interval: Seconds between two scrapes, the smallest useful step of the query.
    """
    own = "|".join(f"{name}.*" for name in readings.NAMES)
    containers = "|".join(readings.CONTAINER_NAMES)
    of_pods = "|".join(pods)
    selectors = (
        f'{{__name__=~"{own}", namespace="{namespace}", {SERVICE_SERIES_LABEL}="{service}"}}',
        # Series without a container are sums of the others.
        f'{{__name__=~"{containers}", namespace="{namespace}", pod=~"{of_pods}", container!=""}}',
    )
    step = max(interval, seconds // _POINTS)
    series = [item for selector in selectors for item in _query(url, selector, seconds, step)]
    found = read_matrix(series)
    return {pod: Window(scrapes) for pod, scrapes in found.items() if len(scrapes) > 1}


def _query(url: str, query: str, seconds: int, step: int) -> list[dict[str, Any]]:
    end = time.time()
    parameters = {"query": query, "start": end - seconds, "end": end, "step": step}
    address = f"{url.rstrip('/')}/api/v1/query_range"
    if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
        inputs.fail(
            f"--prometheus {url}: must be an http:// or https:// URL, for example "
            "http://localhost:9090"
        )
    form = urllib.parse.urlencode(parameters).encode()
    try:
        with _opener(url).open(address, form, _TIMEOUT_SECONDS) as response:
            body = json.load(response)
    except urllib.error.HTTPError as error:
        inputs.fail(f"--prometheus {url}: {error.code} {error.reason}: {_reason(error)}")
    except (OSError, ValueError) as error:
        inputs.fail(f"--prometheus {url}: {error}; check that the URL is that of Prometheus")
    result: list[dict[str, Any]] = body["data"]["result"]
    return result


def _opener(url: str) -> urllib.request.OpenerDirector:
    proxy = proxy_of(url)
    proxies = {urllib.parse.urlsplit(url).scheme: proxy} if proxy else {}
    return urllib.request.build_opener(urllib.request.ProxyHandler(proxies))


def _reason(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.load(error)["error"])
    except (ValueError, KeyError):
        return "the response is not from Prometheus; check the URL"
