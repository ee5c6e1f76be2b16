"""The values of Secrets that a service requires and that do not exist yet.

They come from a file or from the terminal, and never from an argument, which every user of the
machine can read.
"""

import secrets as random
import shlex
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import typer

from fastapi_operator.cli import console, inputs
from fastapi_operator.delivery.secrets import placeholders, read_values, secret
from fastapi_operator.project.variable import is_secret

_RANDOM_BYTES = 32


def missing_secrets(
    missing: Mapping[str, frozenset[str]],
    namespace: str,
    file: str,
    *,
    asks: bool,
    known: Iterable[Path] = (),
) -> list[dict[str, Any]]:
    """Returns the Secrets to create; ends the command if a value is not known.

    Args:
        missing: The keys of each missing Secret; none if all values of the file are meant.
        namespace: Their namespace.
        file: The file with the values, or ``-`` for standard input; empty for none.
        asks: Whether a person can be asked.
        known: Files that could be given instead.
    """
    if not missing:
        return []
    values = _read(file) if file else {}
    hint = "" if file else _hint(known, frozenset().union(*missing.values()))
    found = {
        name: _values(name, namespace, keys, values, file=file, asks=asks, hint=hint)
        for name, keys in missing.items()
    }
    return [secret(name, namespace, given) for name, given in found.items()]


def _hint(known: Iterable[Path], keys: frozenset[str]) -> str:
    """Returns the option for a file that has all keys; the command does not read it unasked."""
    for path in known:
        try:
            found = read_values(path.read_text())
        except (OSError, ValueError):
            continue
        if keys and keys <= found.keys():
            return f"--secrets {shlex.quote(str(path))}"
    return ""


def _values(
    name: str,
    namespace: str,
    keys: frozenset[str],
    known: Mapping[str, str],
    *,
    file: str,
    asks: bool,
    hint: str,
) -> dict[str, str]:
    if not keys and known:
        return dict(known)
    unknown = sorted(keys - known.keys())
    if file and unknown:
        inputs.fail(f"--secrets {file}: {', '.join(unknown)} of Secret {name} is not in it")
    open_keys = placeholders(known, keys - set(unknown))
    if open_keys and asks:
        console.print_line(
            f"--secrets {file} has only placeholders for these; enter nothing for a random one",
            to_stderr=True,
        )
        return {key: _ask(key) if key in open_keys else known[key] for key in sorted(keys)}
    if open_keys:
        inputs.fail(
            f"--secrets {file}: the value of {', '.join(open_keys)} is only a placeholder, which "
            "everybody can read; write a random one, for example that of: openssl rand -hex 32"
        )
    if unknown and asks:
        console.print_line(
            f"Secret {namespace}/{name} does not exist; enter its values, and nothing for a random "
            f"password or key{f'; to use those of a file, add {hint}' if hint else ''}",
            to_stderr=True,
        )
        return {key: _ask(key) for key in unknown}
    if unknown or not keys:
        lines = " ".join(f"{key}=…" for key in unknown) or "NAME=…"
        inputs.fail(
            f"Secret {namespace}/{name} does not exist, and pods do not start without it; create "
            f"it, or add --secrets with a file that has a line for each value: {lines}"
            f"{f'; {hint} has all of them' if hint else ''}"
        )
    return {key: known[key] for key in keys}


def _ask(key: str) -> str:
    if not is_secret(key):
        return str(typer.prompt(key, err=True))
    given = typer.prompt(key, default="", hide_input=True, show_default=False, err=True)
    return str(given) or random.token_urlsafe(_RANDOM_BYTES)


def _read(file: str) -> dict[str, str]:
    try:
        return read_values(sys.stdin.read() if file == "-" else Path(file).read_text())
    except OSError as error:
        inputs.fail(f"--secrets {file}: {error.strerror}")
    except UnicodeDecodeError:
        inputs.fail(f"--secrets {file}: not UTF-8 text; save it as UTF-8")
    except ValueError as error:
        inputs.fail(f"--secrets {file}: {error}")
