"""Who rejects requests: counts the rejections of each service between the observer's looks.

The observer already reads a pod of the app. A few proxy pods are read beside it, at the same time:
each counts its own requests, and clients may use only one of them. Proxy pods are listed if their
Deployment changed since, so that a service at rest costs no request to the API server.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from fastapi_operator import naming
from fastapi_operator.cluster.client import Client
from fastapi_operator.cluster.kinds import DEPLOYMENT
from fastapi_operator.cluster.metrics_reader import find_pods
from fastapi_operator.observation import rejections
from fastapi_operator.observation.hours import GAP_SECONDS_MAX
from fastapi_operator.observation.reading import Reading, Source
from fastapi_operator.observation.rejections import Counts, Overload
from fastapi_operator.parts import Part
from fastapi_operator.reconcile.loop import steady
from fastapi_operator.reconcile.observe.identity import ServiceKey
from fastapi_operator.reconcile.observe.store import Store
from fastapi_operator.resources.desired import ObjectKey

# A service has two proxy pods, unless its spec has more.
PROXIES_READ = 4
_PROXIES_LISTED = 2 * PROXIES_READ
# After so many looks in a row without a page, pods are listed again once an hour.
_FAILURES_MAX = 3


@dataclass(slots=True)
class _Watch:
    """The state of a service between two looks.

    Attributes:
        begun: When its first look was, in seconds since 1970.
        deployment: The version of the proxy's Deployment when its pods were listed; 0 before.
        proxies: The proxy pods that are read, by the URL of their page.
        failures: Looks in a row at which a page could not be read.
        before: Their last counts, by pod.
        found: The newest counts.
    """

    begun: float
    deployment: int = 0
    proxies: Mapping[str, Source] = field(default_factory=dict)
    failures: int = 0
    before: Mapping[str, Counts] = field(default_factory=dict)
    found: Overload = field(default_factory=Overload)


class Overloads:
    """The newest counts of the services of an operator."""

    def __init__(self, client: Client, store: Store) -> None:
        self._client = client
        self._store = store
        self._watches: dict[ServiceKey, _Watch] = {}

    def find(self, key: ServiceKey, now: float) -> Overload | None:
        """Returns who rejects requests of a service; None if it is not known yet."""
        watch = self._watches.get(key)
        if watch is None:
            return None
        found = watch.found.at(now)
        # Until a fact would be old, the one of the former operator process is as good.
        is_young = now - watch.begun <= GAP_SECONDS_MAX
        return None if is_young and not found.known else found

    def forget(self, key: ServiceKey) -> None:
        """Drops a service that is not observed."""
        self._watches.pop(key, None)

    async def urls(self, key: ServiceKey, now: float, *, is_new_hour: bool) -> tuple[str, ...]:
        """Returns the URLs of the proxy pods to read.

        Args:
            key: The service.
            now: The time, in seconds since 1970.
            is_new_hour: Whether the last look was in another hour of the service.

        Raises:
            ApiError: The API server refused the list.
        """
        watch = self._watches.setdefault(key, _Watch(now))
        name = naming.child_name(key.name, Part.PROXY.value)
        proxy = self._store.child(ObjectKey(DEPLOYMENT.group, DEPLOYMENT.kind, key.namespace, name))
        if proxy is None:
            watch.proxies = {}
            return ()
        may_retry = watch.failures < _FAILURES_MAX or is_new_hour
        if watch.deployment != proxy.version or (watch.failures and may_retry):
            listed = await find_pods(
                self._client, *key, Part.PROXY, clocks=steady.clocks(), limit=_PROXIES_LISTED
            )
            ready = [target for target in listed if target.url and target.page.ready]
            watch.proxies = {
                target.url: Source(target.page.name, restarts=target.page.restarts)
                for target in ready[:PROXIES_READ]
            }
            watch.deployment = proxy.version
        return tuple(watch.proxies)

    def take_proxies(self, key: ServiceKey, pages: Mapping[str, str | None], now: float) -> None:
        """Adds the pages of a service's proxy pods.

        Args:
            key: The service.
            pages: The pages by URL; None if one could not be read.
            now: The time at which they were read, in seconds since 1970.
        """
        watch = self._watches[key]
        unread = [url for url in watch.proxies if pages[url] is None]
        watch.failures = watch.failures + 1 if unread else 0
        counts = {
            source.pod: found
            for url, source in watch.proxies.items()
            if (found := rejections.of_proxy(pages[url] or "", source, now)) is not None
        }
        both = ((watch.before[pod], found) for pod, found in counts.items() if pod in watch.before)
        gained = rejections.total(rejections.between(*pair) for pair in both)
        watch.before = counts
        if gained is not None:
            watch.found = Overload(gained, watch.found.processes)

    def take_processes(self, key: ServiceKey, before: Reading, after: Reading) -> None:
        """Adds two readings of a pod of the app."""
        watch = self._watches.get(key)
        counts = (rejections.of_process(found) for found in (before, after))
        gained = rejections.between(*counts)
        if watch is not None and gained is not None:
            watch.found = Overload(watch.found.proxy, gained)
