"""`python -m benchmarks.traffic`: records the traffic from which canaries are simulated.

Clients with different pauses read, list and search the shop. For each second, the requests are
counted by their duration, and for the whole time by client; the workers' CPU time and memory are
read regularly from their start. tests/benchmarks/canary repeats this shape, with errors, delays and
growth that it adds itself.
"""

from __future__ import annotations

import argparse
import bisect
import collections
import concurrent.futures
import http.client
import json
import os
import random
import threading
import time
from pathlib import Path

from benchmarks.faults import Shop, running_shop

CLIENTS = 60
SECONDS = 240.0
USAGE_SECONDS = 5.0
# The mean pause between two requests of a client, in seconds: some clients ask ten times as often.
PAUSES = (0.05, 0.2, 0.5, 1.0, 2.0)
PATHS = ("/items/{}", "/items/{}", "/items/{}", "/items?limit=20", "/items?q=item+{}&limit=10")
OUTPUT = Path(__file__).parents[2] / "tests" / "benchmarks" / "canary" / "traffic.json"
# In /proc/PID/stat, counted from the field after the name.
_USER_TICKS = 11
# Upper bounds in seconds, 10 % apart: finer than any histogram that reads them.
BOUNDS = tuple(round(0.0005 * 1.1**step, 7) for step in range(105))


def client(number: int, port: int, began: float, stop: threading.Event) -> list[tuple[int, float]]:
    """Sends requests until it is stopped; returns the second and duration of each."""
    draws = random.Random(number)
    pause = PAUSES[number % len(PAUSES)]
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    found = []
    while not stop.wait(draws.expovariate(1 / pause)):
        started = time.perf_counter()
        path = draws.choice(PATHS).format(draws.randint(1, 2000))
        try:
            connection.request("GET", path)
            response = connection.getresponse()
        except ConnectionError:
            # The server closed the connection after a long pause of the client.
            connection.close()
            continue
        response.read()
        if response.status != 200:
            raise RuntimeError(f"the shop responded {response.status}")
        found.append((int(started - began), time.perf_counter() - started))
    connection.close()
    return found


def usage(shop: Shop) -> tuple[float, int]:
    """Returns the CPU seconds and the resident bytes of all workers."""
    seconds, pages = 0.0, 0
    for pid in shop.app.worker_pids():
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        seconds += (int(fields[_USER_TICKS]) + int(fields[_USER_TICKS + 1])) / os.sysconf(
            "SC_CLK_TCK"
        )
        pages += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return round(seconds, 2), pages * os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    """Records and writes the file."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.traffic", description=__doc__)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="length of the recording")
    arguments = parser.parse_args()
    with running_shop() as shop, concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
        stop, began = threading.Event(), time.perf_counter()
        clients = [
            pool.submit(client, number, shop.app.port, began, stop) for number in range(CLIENTS)
        ]
        used = [usage(shop)]
        while (now := time.perf_counter() - began) < arguments.seconds:
            time.sleep(USAGE_SECONDS * len(used) - now)
            used.append(usage(shop))
        stop.set()
        found = [item.result() for item in clients]
    counted: dict[int, collections.Counter[int]] = collections.defaultdict(collections.Counter)
    for second, seconds in (item for requests in found for item in requests):
        if second < int(arguments.seconds):
            counted[second][bisect.bisect_left(BOUNDS, seconds)] += 1
    recording = {
        "bounds": BOUNDS,
        "clients": sorted(len(requests) for requests in found),
        # CPU seconds and resident bytes of all workers, from their start on.
        "usage": {"interval": USAGE_SECONDS, "workers": 2, "values": used},
        # For each second: pairs of a bound's index and the requests up to it.
        "seconds": [sorted(counted[second].items()) for second in sorted(counted)],
    }
    OUTPUT.write_text(json.dumps(recording, separators=(",", ":")) + "\n")
    total = sum(recording["clients"])  # type: ignore[arg-type]
    print(f"{total} requests of {CLIENTS} clients in {arguments.seconds:g} s: {OUTPUT}")


if __name__ == "__main__":
    main()
