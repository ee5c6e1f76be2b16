"""Logins of Redis for code that knows only a host, and makes a URL of it.

The servers require a password. In ``f"redis://{host}:{port}"``, a host may begin with a login, so
such code needs no change.
"""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import replace

from fastapi_operator.project import syntax
from fastapi_operator.project.connections import Names
from fastapi_operator.project.source import Project

_PREFIXES = {"redis": "REDIS", "queue": "QUEUE"}


def with_logins(project: Project, names: Names, service: str) -> Names:
    """Returns the names, where hosts that are only in URLs have a login.

    Args:
        project: The project.
        names: The names under which it reads its connections.
        service: The name of its service.
    """
    stores: dict[str, Mapping[str, str]] = dict(names.stores)
    values, overrides = dict(names.values), dict(names.overrides)
    in_urls = tuple(_hosts_in_urls(project))
    # A short name, for example ``host`` of uvicorn.run, can be that of another server.
    alone = tuple(name for name in _hosts_of_clients(project) if "_" in name)
    for store, prefix in _PREFIXES.items():
        hosts = [
            name
            for name in _hosts(names, store)
            if name.upper().endswith(in_urls) and not name.upper().endswith(alone)
        ]
        if not hosts or names.reads(store, "Password", "Url"):
            continue
        login = f"$({prefix}_USERNAME):$({prefix}_PASSWORD)@{service}-{store}"
        overrides |= dict.fromkeys(hosts, login)
        stores[store] = {key: to for key, to in stores.get(store, {}).items() if key not in hosts}
        if len(hosts) == len(_hosts(names, store)):
            values[store] |= {"Url"}
    return replace(names, stores=stores, values=values, overrides=overrides)


def _hosts(names: Names, store: str) -> list[str]:
    mapped = [name for name, value in names.stores.get(store, {}).items() if value == "Host"]
    return [*mapped, *({f"{_PREFIXES[store]}_HOST"} & names.contract)]


def _hosts_in_urls(project: Project) -> Iterator[str]:
    """Yields the names of the hosts that directly follow a scheme of Redis."""
    for module in project.modules:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.JoinedStr):
                for before, after in zip(node.values, node.values[1:], strict=False):
                    is_host = syntax.text(before).endswith(("redis://", "rediss://"))
                    if is_host and isinstance(after, ast.FormattedValue):
                        yield from _name(after.value)
        for call in syntax.calls(module.tree):
            if syntax.keyword_text(call, "scheme").startswith("redis"):
                yield from _name(syntax.keyword(call, "host"))


def _hosts_of_clients(project: Project) -> Iterator[str]:
    """Yields the names of the hosts that a client gets by themselves."""
    for module in project.modules:
        for call in syntax.calls(module.tree):
            if not syntax.keyword(call, "scheme"):
                yield from _name(syntax.keyword(call, "host"))


def _name(node: ast.expr | None) -> Iterator[str]:
    name = syntax.last_name(node).upper()
    if name:
        yield name
