"""Imports an app as its server would, and reports the image's facts as a termination message.

The operator does not import this module. It passes its text to a Python of the user's image
(``python3 -c TEXT OPTIONS``), so it needs nothing but the standard library of Python 3.8 or later.

The import runs in a child process: it may hang, crash, or end the process. The report is one JSON
object of at most 4096 bytes. Its outcome is ``Passed``, ``Failed`` if no pod of this image can
start, or ``Unknown`` if the check lacks something that the app's pods have. Only ``Failed`` ends
with status 1.
"""

from __future__ import annotations

import errno
import faulthandler
import hashlib
import importlib
import importlib.util
import json
import os
import platform
import re
import select
import shlex
import shutil
import signal
import sys
import sysconfig
import tempfile
import time
import traceback
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

MESSAGE_FILE = "/dev/termination-log"
MESSAGE_BYTES = 4096
# The programs that are given the app as module:attribute.
SERVERS = ("uvicorn", "gunicorn", "granian", "hypercorn", "daphne", "fastapi")
PACKAGES = ("fastapi", "starlette", "pydantic", "uvicorn", "gunicorn", "granian", "hypercorn")
# Programs that start the server's own, in their directory and with their variables.
WRAPPERS = (
    "ddtrace-run",
    "opentelemetry-instrument",
    "newrelic-admin",
    "run-program",
    "tini",
    "--",
)
SHELLS = ("sh", "bash", "ash", "dash")
# module:attribute, where gunicorn permits a call; no address matches it.
TARGET = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*(\(.*\))?")
DIRECTORY_OPTIONS = ("--app-dir", "--chdir", "--working-dir")
CONNECTION = re.compile(
    "Connect|Operational|Timeout|Unreachable|Resolution|gaierror|herror|NoBrokers|Redis|Interface"
)
MISSING_LIBRARY = re.compile(
    "cannot open shared object|GLIBC|file too short|ELF header|ELF class|undefined symbol"
)
WRAPPED_MOST = 5


class Command:
    """The target of a command: the program, its Python, and the app.

    Attributes:
        program: The server's path or name; empty if the command names none.
        python: The Python that the command names; empty if it is that of the program.
        target: The app as module:attribute; empty if it is not known.
        is_direct: Whether the kubelet starts the program, and neither a shell nor another program
            that may choose the Python, the directory or the variables.
        as_module: Whether Python starts the program with ``-m``.
        factory: Whether the attribute returns the app when it is called.
        directory: The directory of the app's modules.
    """

    def __init__(self, words: list[str], app: str) -> None:
        """Reads a command.

        Args:
            words: The command and its arguments.
            app: The app of the service's spec, if the command does not name it.
        """
        found = _of_shell(words)
        is_plain, words = found == words, found
        names = [os.path.basename(word) for word in words]  # noqa: PTH119
        first = next((i for i, name in enumerate(names) if name in SERVERS), len(words))
        rest = words[first + 1 :]
        self.program = words[first] if first < len(words) else ""
        self.python = ""
        if names and names[0].startswith("python"):
            self.python = words[0]
        self.as_module = first >= 2 and words[first - 1] == "-m"
        before = [name for name in names[:first] if name not in (*WRAPPERS, "--")]
        if self.as_module and self.python:
            before = before[1:-1]
        self.is_direct = is_plain and bool(self.program) and not before
        self.target = next((word for word in rest if TARGET.fullmatch(word)), app)
        variables = (os.environ.get("UVICORN_FACTORY"), os.environ.get("GRANIAN_FACTORY"))
        self.factory = "--factory" in rest or any(
            (value or "").lower() in ("1", "true", "yes", "on") for value in variables
        )
        self.directory = os.environ.get("UVICORN_APP_DIR") or os.getcwd()  # noqa: PTH109
        for index, word in enumerate(rest):
            option, _, value = word.partition("=")
            if option in DIRECTORY_OPTIONS:
                self.directory = value or "".join(rest[index + 1 : index + 2])


def _of_shell(words: list[str]) -> list[str]:
    """Returns the words of a shell's command line, or those of another command."""
    if not words or os.path.basename(words[0]) not in SHELLS:  # noqa: PTH119
        return words
    if len(words) < 3 or not re.fullmatch("-[a-z]*c", words[1]):
        return words
    try:
        return shlex.split(words[2])
    except ValueError:
        return words


def python_of(path: str) -> str:
    """Returns the Python that runs a script, from its first lines; empty if it is not one."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            lines = file.read(512).decode("utf-8", "replace").splitlines()
    except OSError:
        return ""
    if not lines or not lines[0].startswith("#!"):
        return ""
    first = lines[0][2:].split()
    if first and os.path.basename(first[0]) == "env":  # noqa: PTH119
        return shutil.which(first[-1]) or ""
    if first and os.path.basename(first[0]) in SHELLS and len(lines) > 1:  # noqa: PTH119
        # The form for a path that is too long for the kernel, or that has a space.
        found = re.search(r"""exec' "?([^"\s]+)""", lines[1])
        return found.group(1) if found else ""
    return first[0] if first and "python" in first[0] else ""


class Result(Exception):  # noqa: N818 (it is not an error of this program)
    """The end of the check: its outcome, reason, message and place."""

    def __init__(self, outcome: str, reason: str, message: str, place: str = "") -> None:
        """Ends the check; only its first lines are kept."""
        super().__init__(reason)
        self.report = {
            "outcome": outcome,
            "reason": reason,
            "message": _first_lines(message),
            "place": place[-200:],
        }


def _first_lines(text: str) -> str:
    return " ".join(line.strip() for line in text.strip().splitlines())[:600]


# The import -----------------------------------------------------------------------------------


class Child:
    """The process that imports the app."""

    def __init__(self, command: Command, options: dict[str, Any]) -> None:
        """Prepares the import, which ``run`` does."""
        self._command = command
        self._options = options
        self._contacts: list[str] = []

    def run(self) -> dict[str, Any]:
        """Imports the app; returns the report."""
        sys.path.insert(0, self._command.directory)
        if hasattr(sys, "addaudithook"):
            sys.addaudithook(self._audit)
        module, _, attribute = self._command.target.partition(":")
        try:
            self._import_server()
            began = time.monotonic()
            self._app = self._load(module, attribute)
        except Result as result:
            return result.report
        except BaseException as error:  # (whatever an app raises is the finding)
            return self._explain(error, module).report
        return {
            "outcome": "Passed",
            "importMilliseconds": round(1000 * (time.monotonic() - began)),
            "memoryBytes": _resident_bytes(),
        }

    def routes(self) -> dict[str, Any]:
        """Returns the figures of the imported app's OpenAPI document; nothing without one."""
        return _routes(self._app)

    def _import_server(self) -> None:
        """Imports the server first, as it is before the app is imported."""
        server = os.path.basename(self._command.program)  # noqa: PTH119
        if not server:
            return
        if importlib.util.find_spec(server) is not None:
            importlib.import_module(server)
        elif self._command.as_module:
            raise Result("Failed", "MissingModule", f"the image has no module {server}")

    def _load(self, module: str, attribute: str) -> Any:
        found: Any = importlib.import_module(module)
        called = attribute.endswith(")")
        for name in attribute.partition("(")[0].split("."):
            try:
                found = getattr(found, name)
            except AttributeError:
                text = f"the module {module} has no attribute {name}"
                file = getattr(sys.modules.get(module), "__file__", "") or ""
                raise Result("Failed", "AppNotFound", text, file) from None
        if called and attribute.endswith("()"):
            found = found()
        elif called:
            # The arguments of a call are an expression, which this check does not evaluate.
            raise Result("Unknown", "AppNotCalled", f"{attribute} has arguments")
        if self._command.factory:
            found = found()
        if not callable(found):
            text = f"{self._command.target} is not an app: it is of type {type(found).__name__}"
            raise Result("Failed", "AppNotFound", text)
        return found

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in ("socket.connect", "socket.getaddrinfo") and len(self._contacts) < 3:
            target = arguments[1] if event == "socket.connect" else arguments[:2]
            self._contacts.append(
                ":".join(str(part) for part in target[:2])
                if isinstance(target, tuple)
                else str(target)
            )

    def _explain(self, error: BaseException, module: str) -> Result:
        """Returns the result of an import that raised an error."""
        absent, placeholders = self._options["absent"], self._options["placeholders"]
        place, lacks = place_of(error), f"; the check has no {', '.join(absent or ['Secrets'])}"
        reason, text = "ImportFailed", f"{type(error).__name__}: {error}"
        is_certain = not absent and not placeholders
        fault = _fault_of_image(error, module, self._command.directory)
        if fault is not None:
            reason, text, where = fault
            place, is_certain = where or place, set(absent) <= {"Secrets"}
        elif names := missing_variables(error):
            reason = "MissingVariable"
            text = f"variables that the app needs are not set: {', '.join(names)}"
            is_certain = not absent and not set(names) & set(placeholders)
        elif self._contacts or any(CONNECTION.search(name) for name in _type_names(error)):
            reason, is_certain = "NeedsConnection", False
            tried = f"; it tried {', '.join(self._contacts)}" if self._contacts else ""
            text, lacks = f"the app connects while it is imported: {text}{tried}", ""
        outcome = "Failed" if is_certain else "Unknown"
        return Result(outcome, reason, text if is_certain else text + lacks, place)


def _fault_of_image(
    error: BaseException, module: str, directory: str
) -> tuple[str, str, str] | None:
    """Returns reason, message and place of an error that only a change of the image fixes."""
    text = f"{type(error).__name__}: {error}"
    if isinstance(error, SyntaxError):
        text = f"SyntaxError: {error.msg} (the image has Python {platform.python_version()})"
        return "SyntaxError", text, f"{error.filename}:{error.lineno}"
    if isinstance(error, ModuleNotFoundError) and error.name:
        if f"{module}.".startswith(f"{error.name}."):
            return "AppNotFound", f"there is no module {error.name} in {directory}", ""
        return "MissingModule", text, ""
    if isinstance(error, ImportError):
        is_library = MISSING_LIBRARY.search(str(error))
        return "MissingLibrary" if is_library else "ImportFailed", text, ""
    if isinstance(error, OSError) and error.errno == errno.EROFS:
        return "ReadOnlyFileSystem", text, ""
    return None


def place_of(error: BaseException) -> str:
    """Returns file and line of the app's own code that raised an error last."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if is_own(frame.filename)]
    return f"{own[-1].filename}:{own[-1].lineno}" if own else ""


def is_own(filename: str) -> bool:
    """Whether a file is of the app, and neither of a package nor of Python."""
    if filename.startswith("<") or "site-packages" in filename or "dist-packages" in filename:
        return False
    return not filename.startswith(sysconfig.get_paths()["stdlib"] + os.sep)


def _type_names(error: BaseException | None) -> list[str]:
    """Returns the types of an error and of those that caused it."""
    names: list[str] = []
    while error is not None and len(names) < 10:
        names += [item.__name__ for item in type(error).__mro__[:3]]
        error = error.__cause__ or error.__context__
    return names


def missing_variables(error: BaseException) -> list[str]:
    """Returns the variables without which an import failed; empty if there is another cause."""
    frames = list(traceback.walk_tb(error.__traceback__))
    if isinstance(error, KeyError) and frames:
        code = frames[-1][0].f_code
        # Since Python 3.11 the module os is frozen.
        if code.co_name == "__getitem__" and code.co_filename.endswith(("os.py", "<frozen os>")):
            return [str(error.args[0])]
    if type(error).__name__ != "ValidationError" or not hasattr(error, "errors"):
        return []
    details = error.errors()
    kinds = ("missing", "value_error.missing")
    if not details or any(item.get("type") not in kinds for item in details):
        return []
    settings = next(
        (found for frame, _ in frames if (found := _settings_of(frame.f_locals)) is not None), None
    )
    return [_variable(item["loc"], settings) for item in details] if settings else []


def _settings_of(values: dict[str, Any]) -> Any:
    """Returns the pydantic settings class whose instance a frame creates; None if it does not."""
    for name in ("self", "__pydantic_self__", "cls"):
        value = values.get(name)
        kind = value if isinstance(value, type) else type(value)
        if any(base.__name__ == "BaseSettings" for base in kind.__mro__[1:]):
            return kind
    return None


def _variable(location: tuple[Any, ...], settings: Any) -> str:
    config = getattr(settings, "model_config", None) or {}
    old = getattr(settings, "__config__", None)
    prefix = config.get("env_prefix", "") if config else getattr(old, "env_prefix", "")
    fields = getattr(settings, "model_fields", None) or getattr(settings, "__fields__", {})
    first = str(location[0])
    # The location of a field with an alias is the alias, which has no prefix.
    name = f"{prefix}{first}" if first in fields else first
    nested = config.get("env_nested_delimiter") or "__"
    return nested.join((name, *(str(part) for part in location[1:]))).upper()


def _resident_bytes() -> int:
    try:
        text = Path("/proc/self/status").read_text(encoding="utf-8")
    except OSError:
        return 0
    found = re.search(r"VmRSS:\s+(\d+) kB", text)
    return 1024 * int(found.group(1)) if found else 0


def _routes(app: Any) -> dict[str, Any]:
    """Returns the number of operations and the hash of the OpenAPI document, if the app has one."""
    for _ in range(WRAPPED_MOST):
        if callable(getattr(app, "openapi", None)):
            break
        app = getattr(app, "app", None)
    else:
        return {}
    try:
        document = app.openapi()
        paths = document.get("paths") or {}
        text = json.dumps(document, sort_keys=True, default=str)
    except Exception as error:  # the app serves nevertheless
        return {"note": _first_lines(f"/openapi.json fails: {type(error).__name__}: {error}")[:200]}
    return {
        "routes": sum(len(operations) for operations in paths.values()),
        "openapi": hashlib.sha256(text.encode()).hexdigest()[:16],
    }


# The parent -----------------------------------------------------------------------------------


def versions() -> dict[str, Any]:
    """Returns the versions of Python and of the packages that serve the app."""
    from importlib import metadata  # noqa: PLC0415 (Python 3.7 has none)

    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    enabled = getattr(sys, "_is_gil_enabled", lambda: True)
    return {
        "python": platform.python_version(),
        "gil": bool(enabled()),
        "uvloop": importlib.util.find_spec("uvloop") is not None,
        "versions": found,
    }


def check(command: Command, options: dict[str, Any]) -> dict[str, Any]:
    """Imports the app in a child process and returns the report."""
    if command.program and not command.as_module and shutil.which(command.program) is None:
        text = f"the program {command.program} is not on the PATH of the image"
        return Result("Failed", "ProgramNotFound", text).report
    if not command.target:
        text = "the command does not name the app as module:attribute; spec.app can name it"
        return Result("Unknown", "AppUnknown", text).report
    with tempfile.TemporaryFile() as stacks:
        receiver, sender = os.pipe()
        pid = os.fork()
        if pid == 0:
            _run_child(command, options, sender, stacks)
        os.close(sender)
        lines, has_ended = _read(receiver, options["seconds"])
        if not has_ended:
            # The stack is written within this second.
            time.sleep(1)
            os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        if lines:
            report: dict[str, Any] = json.loads(lines[-1])
            return report
        stacks.seek(0)
        place = _place_in_stacks(stacks.read().decode("utf-8", "replace"))
    if not has_ended:
        text = f"the import did not end within {options['seconds']} s"
        return Result("Unknown", "TooSlow", text, place).report
    return _ended(status, place).report


def _run_child(command: Command, options: dict[str, Any], sender: int, stacks: Any) -> NoReturn:
    faulthandler.enable(stacks)
    faulthandler.dump_traceback_later(options["seconds"], file=stacks)
    child = Child(command, options)
    report = child.run()
    os.write(sender, json.dumps(report).encode() + b"\n")
    if report["outcome"] == "Passed":
        # It may be slow, or fail, and the app serves nevertheless.
        report.update(child.routes())
        os.write(sender, json.dumps(report).encode() + b"\n")
    # Threads of the app must not delay the end.
    os._exit(0)


def _read(receiver: int, seconds: float) -> tuple[list[str], bool]:
    """Returns the whole lines that the child writes in time, and whether it ended."""
    until, text = time.monotonic() + seconds, b""
    while True:
        ready, _, _ = select.select([receiver], [], [], max(0.0, until - time.monotonic()))
        part = os.read(receiver, 65536) if ready else b""
        text += part
        if not part:
            return text.decode().split("\n")[:-1], bool(ready)


def _place_in_stacks(text: str) -> str:
    """Returns the innermost own file and line in the output of faulthandler."""
    found = re.findall(r'File "([^"]+)", line (\d+)', text)
    return next((f"{name}:{line}" for name, line in found if is_own(name)), "")


def _ended(status: int, place: str) -> Result:
    if os.WIFSIGNALED(status):
        name = signal.Signals(os.WTERMSIG(status)).name
        text = f"the process was ended by {name} while it imported the app"
        return Result("Failed", "Crashed", text, place)
    text = f"the process exited with status {os.WEXITSTATUS(status)} while it imported the app"
    return Result("Unknown", "Exited", text, place)


def _use_python(command: Command) -> None:
    """Starts this check again with the Python of the server, if it is another one."""
    path = shutil.which(command.program) if command.program and not command.as_module else None
    python = shutil.which(command.python) if command.python else python_of(path) if path else ""
    if not python or os.path.abspath(python) == os.path.abspath(sys.executable):  # noqa: PTH100
        return
    if os.environ.get("PREFLIGHT_PYTHON") or not os.access(python, os.X_OK):
        return
    words = Path("/proc/self/cmdline").read_bytes().split(b"\0")[:-1]
    os.environ["PREFLIGHT_PYTHON"] = python
    os.execv(python, [python.encode(), *words[1:]])  # noqa: S606 (no shell is wanted)


def main() -> int:
    """Writes the report; returns the status with which the process ends."""
    options = json.loads(sys.argv[1])
    command = Command(options["command"], options["app"])
    _use_python(command)
    report = {**versions(), **check(command, options)}
    if report["outcome"] == "Failed" and not command.is_direct:
        # The program that starts the server may use another Python, directory or variables.
        report["outcome"] = "Unknown"
    text = json.dumps(report)
    if len(text) > MESSAGE_BYTES:
        text = json.dumps({**report, "message": report.get("message", "")[:100], "note": ""})
    try:
        Path(os.environ.get("PREFLIGHT_REPORT", MESSAGE_FILE)).write_text(text, encoding="utf-8")
    except OSError as error:
        sys.stderr.write(f"cannot write the report: {error}\n")
    sys.stdout.write(text + "\n")
    return 1 if report["outcome"] == "Failed" else 0


if __name__ == "__main__":
    sys.exit(main())
