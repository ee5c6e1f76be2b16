"""What Prometheus has stored of a service, asked for over its HTTP API."""

import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable
from typing import Any

from fastapi_operator.cli import inputs
from fastapi_operator.naming import SERVICE_SERIES_LABEL
from fastapi_operator.observability import readings
from fastapi_operator.observability.samples import Window, read_matrix

_TIMEOUT_SECONDS = 60
# Prometheus refuses more than 11,000 points a series; a hundred show every burst that it has.
_POINTS = 100


def windows(
    url: str, *, namespace: str, service: str, pods: Iterable[str], seconds: int, interval: int
) -> dict[str, Window]:
    """What the pods of a service showed; ends the command where Prometheus does not answer.

    Args:
        url: Prometheus.
        namespace: The service's namespace.
        service: Its name.
        pods: The pods that are there now.
        seconds: How far to look back.
        interval: Seconds between two scrapes: finer steps would only show their pauses.
    """
    own = "|".join(f"{name}.*" for name in readings.NAMES)
    containers = "|".join(readings.CONTAINER_NAMES)
    of_pods = "|".join(pods)
    selectors = (
        f'{{__name__=~"{own}", namespace="{namespace}", {SERVICE_SERIES_LABEL}="{service}"}}',
        # Without a container they are sums of the others.
        f'{{__name__=~"{containers}", namespace="{namespace}", pod=~"{of_pods}", container!=""}}',
    )
    step = max(interval, seconds // _POINTS)
    series = [item for selector in selectors for item in _range(url, selector, seconds, step)]
    found = read_matrix(series)
    return {pod: Window(scrapes) for pod, scrapes in found.items() if len(scrapes) > 1}


def _range(url: str, query: str, seconds: int, step: int) -> list[dict[str, Any]]:
    end = time.time()
    parameters = {"query": query, "start": end - seconds, "end": end, "step": step}
    address = f"{url.rstrip('/')}/api/v1/query_range"
    if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
        inputs.stop(f"--prometheus {url}: must be an http:// or https:// URL")
    body = urllib.parse.urlencode(parameters).encode()
    try:
        with urllib.request.urlopen(address, body, _TIMEOUT_SECONDS) as response:  # noqa: S310
            answer = json.load(response)
    except urllib.error.HTTPError as error:
        inputs.stop(f"--prometheus {url}: {error.code} {error.reason}: {_reason(error)}")
    except (OSError, ValueError) as error:
        inputs.stop(f"--prometheus {url}: {error}; is it Prometheus's own address?")
    result: list[dict[str, Any]] = answer["data"]["result"]
    return result


def _reason(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.load(error)["error"])
    except (ValueError, KeyError):
        return "no answer of Prometheus"
