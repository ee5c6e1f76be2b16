"""Dependencies run in the event loop."""

from __future__ import annotations

import inspect
import typing

from shop import dependencies


def test_no_dependency_runs_in_a_thread() -> None:
    aliases = {name: value for name, value in vars(dependencies).items() if name.endswith("Dep")}
    assert aliases
    for name, alias in aliases.items():
        found = typing.get_args(alias)[1].dependency
        assert inspect.iscoroutinefunction(found) or inspect.isasyncgenfunction(found), name
