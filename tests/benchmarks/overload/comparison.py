"""The same load on this operator's service and on servers of others, side by side."""

import dataclasses
import functools
import os

from tests.benchmarks.overload import bench, cells, rivals, tables
from tests.benchmarks.overload.cells import Run, Series, Work
from tests.benchmarks.overload.kept import Kept
from tests.benchmarks.overload.rivals import Server
from tests.benchmarks.overload.session import Options, Session, in_session, open_loop
from tests.cluster import progress

SHORT = Options(only=("JSON",), seconds=5, rounds=1)


class _Servers:
    """The servers with one work, each ready for it when it is first measured.

    Args:
        session: Has the node and the service.
        work: The work.
    """

    def __init__(self, session: Session, work: Work) -> None:
        self._session, self._work = session, work
        self._rivals: dict[str, tuple[bench.Service, str]] = {}

    def reach(self, server: Server) -> tuple[bench.Service, str]:
        """Returns the Service of a server, and the URL of the work."""
        if server.rival is None:
            work = dataclasses.replace(self._work, runtime=server.runtime)
            return self._session.service(work)
        if server.name not in self._rivals:
            # Rivals copy the pods of the unmodified app, which must have the limits of this work.
            self._session.service(dataclasses.replace(self._work, runtime=False))
            node = self._session.node()
            service = node.rival(server.rival)
            self._rivals[server.name] = service, node.url(service, self._work)
        return self._rivals[server.name]

    def url(self, server: Server) -> str:
        """Returns the URL of the work."""
        return self.reach(server)[1]

    def load(self, server: Server, rate: float, seconds: float) -> Run:
        """Offers a load to one server, and waits until its last request has ended."""
        service, url = self.reach(server)
        node = self._session.node()
        # A container that restarted is not on its core.
        node.pin()
        found = open_loop(node, service, url, rate, seconds)
        node.rest(service)
        return found


def measured(options: Options) -> str:
    """Measures and returns the table.

    Args:
        options: How much is measured; the loads are always those of the table.
    """
    all_servers = rivals.servers(os.cpu_count() or 1)
    found: dict[tuple[str, str], Series] = {}

    def measure(session: Session) -> None:
        for work in cells.RIVAL_WORKS:
            if any(word in work.name for word in options.only):
                _measure(session, work, options, found)

    kept = Kept.of_code("rivals", resume=options.resume)
    facts = in_session(options, kept, measure)
    return f"{facts}\n\n{tables.rivals_text(all_servers, found)}"


def _measure(
    session: Session, work: Work, options: Options, found: dict[tuple[str, str], Series]
) -> None:
    """Measures one work with all servers, which take turns."""
    servers = _Servers(session, work)
    all_servers = rivals.servers(os.cpu_count() or 1)
    for server in sorted(all_servers, key=lambda server: server.runtime):
        capacity = session.capacity(
            f"{server.name}, {work.name}", functools.partial(servers.url, server)
        )
        found[server.name, work.name] = Series(work, capacity)
    reference = found[rivals.OURS_UNMODIFIED, work.name].capacity
    for number in range(options.rounds):
        for server in all_servers:
            series = found[server.name, work.name]
            for multiple in cells.RIVAL_MULTIPLES:
                rate = multiple * reference
                run = session.run(
                    f"{server.name}, {work.name} at {multiple:g}, run {number}",
                    functools.partial(servers.load, server, rate, options.seconds),
                )
                series.runs.setdefault(multiple, []).append(run)
                progress.say(" | ".join(tables.rival_row(server, work, multiple, series)))
