"""How each path is handled, and which paths contradict each other."""

import itertools
import re

import pytest
from fastapi_operator_runtime.priorities import Priorities

from fastapi_operator.api.exposure import Exposure
from fastapi_operator.api.proxy import Proxy
from fastapi_operator.facts import Facts
from fastapi_operator.settings import Settings
from fastapi_operator.tuning.derive import derive
from fastapi_operator.tuning.routes import Handling, Route, normal, routes
from tests.unit.services import service

# Every spelling of a path with priority that the schema permits.
PRIORITIES = (
    "/checkout",
    "/checkout/",
    "//v1.0//pay",
    "/a/x/../b",
    "/orders/{order_id}/payment",
    "/orders/{order_id:int}",
    "/{tenant}/bills/",
    "/",
)


def table(proxy: dict[str, object], **exposure: object) -> dict[str, Route]:
    return {
        route.path: route
        for route in routes(
            Proxy.model_validate(proxy, strict=False),
            Exposure.model_validate(exposure, strict=False),
            3600,
        )
    }


def problems(**spec: object) -> list[str]:
    return [problem.path for problem in derive(service(**spec), Settings(), Facts()).problems]


def test_the_longest_path_decides_the_handling_and_privacy_is_inherited() -> None:
    found = table(
        {
            "streamingPaths": ["/items/live/"],
            "cache": {"routes": [{"path": "/items", "seconds": 5}]},
            "rateLimit": {"requestsPerSecond": 1, "paths": ["/items/search"]},
        },
        privatePaths=["/items/internal"],
    )
    assert list(found) == ["/items/internal", "/items/search", "/items/live", "/items", "/"]
    assert found["/items/live"].handling is Handling.STREAM
    assert (found["/items/search"].handling, found["/items/search"].seconds) == ("cache", 5)
    assert found["/items/search"].limited and not found["/items"].limited
    assert found["/items/internal"].private and not found["/items"].private
    assert found["/"] == Route("/")


def test_each_entry_serves_its_paths_and_its_port_stays_if_another_one_is_added() -> None:
    admin, partners = {"name": "admin", "paths": ["/admin"]}, {"name": "partners"}
    alone = table({}, privatePaths=["/admin", "/docs"], entries=[admin])
    both = table({}, privatePaths=["/admin", "/docs"], entries=[partners, admin])
    (port,) = alone["/admin"].open_ports or ()
    assert both["/admin"].open_ports == (port,)
    assert alone["/docs"].open_ports == both["/docs"].open_ports == ()
    assert alone["/"].open_ports == (8080, 8443)
    assert len(both["/"].open_ports or ()) == 3 and port not in (both["/"].open_ports or ())
    # Without entries, no path has a condition.
    assert table({}, privatePaths=["/docs"])["/"].open_ports is None


def test_settings_of_the_root_apply_to_each_path() -> None:
    found = table({"streamingPaths": ["/"], "rateLimit": {"requestsPerSecond": 1}}, privatePaths=[])
    assert found == {"/": Route("/", Handling.STREAM, limited=True)}


def test_a_path_with_a_parameter_gives_way_to_literal_paths() -> None:
    found = table(
        {
            "streamingPaths": ["/chats/{chat_id}/stream"],
            "rateLimit": {"requestsPerSecond": 1, "paths": ["/chats/slow"]},
        },
        privatePaths=["/chats/admin"],
    )

    def decides(path: str) -> Route:
        return next(r for r in found.values() if re.search(r.pattern(), path))

    assert decides("/chats/7/stream").handling is Handling.STREAM
    assert decides("/chats/7/stream/more").handling is Handling.STREAM
    assert decides("/chats/7").handling is Handling.APP
    assert decides("/chats/7/8/stream").handling is Handling.APP
    assert decides("/chats//stream").handling is Handling.APP
    assert not decides("/chats/7/stream").private and not decides("/chats/7/stream").limited
    assert decides("/chats/admin/stream").private and decides("/chats/admin").private
    limited = decides("/chats/slow/stream")
    assert (limited.limited, limited.handling) == (True, Handling.STREAM)


def test_paths_that_overlap_in_too_many_ways_are_refused() -> None:
    paths = ["/" + "/".join(f"x{i}" if i == j else "{a}" for i in range(20)) for j in range(20)]
    assert problems(proxy={"streamingPaths": paths}) == ["spec.proxy.streamingPaths"]


def test_a_priority_holds_for_all_paths_below_but_not_for_streams_and_static_files() -> None:
    proxy = {
        "streamingPaths": ["/pay/live"],
        "static": [{"path": "/pay/img", "directory": "/app"}],
        "cache": {"routes": [{"path": "/pay/rates", "seconds": 5}]},
    }
    found = routes(
        Proxy.model_validate(proxy, strict=False), Exposure(), priorities=["/pay", "/a/{b}"]
    )
    assert {route.path for route in found if route.reserved} == {"/pay", "/pay/rates", "/a/{}"}


@pytest.mark.parametrize("written", PRIORITIES)
def test_the_runtime_takes_a_path_with_priority_as_the_proxy_does(written: str) -> None:
    ours, theirs = re.compile(Route(normal(written)).pattern()), Priorities([written])
    segments = ("checkout", "checkouts", "v1.0", "v1x0", "pay", "a", "b", "orders")
    segments += ("payment", "bills", "")
    paths = [
        "/" + "/".join(parts)
        for count in (1, 2, 3)
        for parts in itertools.product(segments, repeat=count)
    ]
    found = {path for path in paths if ours.search(path)}
    assert found == {path for path in paths if {"path": path} in theirs}
    assert found


@pytest.mark.parametrize(
    ("spec", "found"),
    [
        ({}, []),
        ({"proxy": {"engine": "Caddy"}}, []),
        ({"proxy": {"engine": "None"}}, ["spec.server.priorities"]),
        ({"proxy": {"balancing": "Service"}}, ["spec.server.priorities"]),
        ({"proxy": {"engine": "None"}, "probes": {"source": "Runtime"}}, []),
        ({"proxy": {"balancing": "Service"}, "probes": {"source": "Runtime"}}, []),
        ({"paths": ["/pay", "/"]}, ["spec.server.priorities[1]"]),
    ],
)
def test_priorities_that_have_no_effect_are_a_problem(
    spec: dict[str, object], found: list[str]
) -> None:
    server = {"priorities": spec.pop("paths", ["/pay"])}
    if "probes" in spec:
        server["probes"] = spec.pop("probes")
    assert problems(server=server, **spec) == found


@pytest.mark.parametrize("written", ["/a/b", "/a/b/", "//a//b", "/a/./b", "/a/x/../b"])
def test_paths_are_taken_as_the_proxy_normalises_them(written: str) -> None:
    assert "/a/b" in table({"streamingPaths": [written]})


def test_a_pattern_matches_only_a_path_and_those_below_it() -> None:
    pattern = Route("/v1.0").pattern()
    assert [bool(re.search(pattern, path)) for path in ("/v1.0", "/v1.0/", "/v1.0/a")] == 3 * [True]
    assert not any(re.search(pattern, path) for path in ("/v1x0", "/v1.00", "/a/v1.0"))


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        (
            {
                "proxy": {
                    "streamingPaths": ["/a"],
                    "cache": {"routes": [{"path": "/a/", "seconds": 1}]},
                }
            },
            "spec.proxy.cache.routes[0].path",
        ),
        (
            {"proxy": {"static": [{"path": "/", "directory": "/app"}]}},
            "spec.proxy.static[0].path",
        ),
        ({"exposure": {"privatePaths": ["/"]}}, "spec.exposure.privatePaths[0]"),
        ({"proxy": {"maxHeaderSize": 100}}, "spec.proxy.maxHeaderSize"),
        ({"proxy": {"trustedNetworks": ["999.0.0.0/8"]}}, "spec.proxy.trustedNetworks[0]"),
        (
            {"proxy": {"engine": "None"}, "exposure": {"privatePaths": ["/a"]}},
            "spec.exposure.privatePaths",
        ),
    ],
)
def test_a_contradiction_is_a_problem(spec: dict[str, object], path: str) -> None:
    assert path in problems(**spec)
