"""Writes the changes of services in a pull request, as Markdown.

The exit status is 1 if a service is invalid. Only the standard library and the command are needed.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

MARK = "<!-- fastapi-operator review -->"
Numbers = dict[tuple[str, str], tuple[str, str]]


def run(*arguments: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
    """Runs a command of the product."""
    command = ["fastapi-operator", *arguments]
    return subprocess.run(  # noqa: S603
        command, check=False, input=text, capture_output=True, text=True
    )


def numbers(text: str) -> Numbers:
    """Returns the value and the reason of each number, by service and name."""
    done = run("explain", "-f", "-", "-o", "json", text=text)
    if done.returncode:
        return {}
    found = json.loads(done.stdout)
    return {
        (service["service"], one["name"]): (f"{one['value']} {one['unit']}".strip(), one["reason"])
        for service in (found if isinstance(found, list) else [found])
        for one in service["decisions"]
    }


def before(base: str, path: str) -> str:
    """Returns a file at the base of the pull request; empty if it is new."""
    command = ["git", "show", f"{base}:./{path}"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603
    return done.stdout if done.returncode == 0 else ""


def changes(old: Numbers, new: Numbers) -> Iterator[str]:
    """Yields a table of the numbers that change."""
    different = [key for key in {**old, **new} if old.get(key) != new.get(key)]
    if not different:
        yield "No number changes.\n"
        return
    yield "| service | number | before | after | reason |\n| --- | --- | --- | --- | --- |"
    for key in different:
        value, reason = new.get(key, ("–", ""))
        cells = (*key, old.get(key, ("–", ""))[0], value, reason)
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
    yield ""


def folded(title: str, text: str) -> str:
    """Returns text that a reader opens."""
    fence = "`" * 4
    inner = f"{fence}text\n{text.rstrip()}\n{fence}"
    return f"<details><summary>{title}</summary>\n\n{inner}\n</details>\n"


def report(paths: list[str], base: str, what_if: list[str], *, live: bool) -> tuple[str, bool]:
    """Returns the report, and whether all services are valid."""
    lines, valid = [MARK, "### FastAPI services\n"], True
    for path in paths:
        checked = run("validate", path)
        valid = valid and checked.returncode == 0
        state = "valid" if checked.returncode == 0 else "**invalid**"
        lines.append(f"#### `{path}`: {state}\n")
        output = checked.stdout + checked.stderr
        if checked.returncode:
            lines.append(f"```text\n{output.rstrip()}\n```\n")
            continue
        if "warning:" in output:
            lines.append(folded("Warnings", output))
        lines += changes(numbers(before(base, path)), numbers(Path(path).read_text()))
        for one in what_if:
            lines.append(
                folded(f"What if {one}", run("explain", "-f", path, "--what-if", one).stdout)
            )
        if live:
            shown = run("diff", "-f", path)
            lines.append(folded("Changes in the cluster", shown.stdout or shown.stderr or "none"))
    return "\n".join(lines) + "\n", valid


def main() -> int:
    """Prints the report."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--base", required=True, help="the commit to compare with")
    parser.add_argument("--what-if", action="append", default=[], metavar="PATH=VALUE")
    parser.add_argument("--live", action="store_true", help="also compare with the cluster")
    parser.add_argument("files", nargs="+")
    given = parser.parse_args()
    text, valid = report(given.files, given.base, given.what_if, live=given.live)
    sys.stdout.write(text)
    return 0 if valid else 1


if __name__ == "__main__":
    sys.exit(main())
