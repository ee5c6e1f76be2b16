"""Writes the YAML of generated files: stable, in block style, with its source in the first line."""

from collections.abc import Iterable
from typing import Any

import yaml


class _Dumper(yaml.SafeDumper):
    """Writes texts with line breaks as blocks, and no aliases."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def heading(source: str) -> str:
    """Returns the first line of a generated file."""
    return f"# Generated from {source}; do not edit. Renew with: python -m manifests.generate\n"


def dump(documents: Iterable[Any]) -> str:
    """Returns documents as YAML, with their keys in the given order."""
    return "---\n".join(
        yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=100, allow_unicode=True)
        for document in documents
    )
