"""The last output of a process, for a condition: without credentials, and with the cause first.

A traceback has its cause in its last lines, and a message is cut at its end. So the cause is moved
to the front, and the frames follow it.
"""

import json
import re
from collections.abc import Iterable

from fastapi_operator.reconcile.observe.advice import advice

MESSAGE_MAX_LENGTH = 600
# Fewer characters of the frames help no reader.
_FRAMES_MIN_LENGTH = 60

# The credentials in a URL: the text before the @ of scheme://user:password@host.
_URL_CREDENTIALS = re.compile(r"(?<=://)[^/\s@]*:[^\s@]*@|(?<=://)[^/\s@:]+@")
_QUOTED = r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'"
_SECRET_ASSIGNMENT = re.compile(
    r"(?i)\b(\w*(?:password|passwd|secret|token|api[_-]?key|private[_-]?key|credential|dsn)\w*"
    rf"[\"']?\s*[=:]\s*)({_QUOTED}|[^\s,;&]+)"
)
_AUTHORIZATION = re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}")
# Pydantic shows the value that it refused, which often comes from a Secret.
_PYDANTIC_INPUT = re.compile(r"\binput_value=.*?(?=, input_type=|\Z)", re.DOTALL)
# The same, if the beginning of the output was cut within the value.
_CUT_PYDANTIC_INPUT = re.compile(r"\A(?:(?!input_value=|\[type=).)*(?=, input_type=)", re.DOTALL)
_INPUT = re.compile(rf"((?:\binput=|[\"']input[\"']\s*:\s*))({_QUOTED}|[^\s,\]}})]+)")
# As SQLAlchemy ends them, if the beginning of the output was cut within the parameters.
_CUT_SQL_PARAMETERS = re.compile(r"\A(?:(?!\[parameters: )[^\n])*\)\](?=\n\(Background on)")
_SQL_PARAMETERS = re.compile(r"\[parameters: .*?\](?=\n|\Z)", re.DOTALL)
# The form of a value that the operator generates: 32 letters and digits.
_GENERATED = re.compile(
    r"(?<![A-Za-z0-9])(?=[A-Za-z0-9]*[a-z])(?=[A-Za-z0-9]*[A-Z])(?=[A-Za-z0-9]*[0-9])"
    r"[A-Za-z0-9]{32}(?![A-Za-z0-9])"
)

_FRAME = re.compile(r'\s*File ".*", line \d+')
# The margin of the traceback of an exception group.
_MARGIN = re.compile(r"^\s*(?:\| ?|\+-[-+ 0-9.]*$|\+ (?=Exception Group))")
_EXCEPTION = re.compile(r"^(?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:Error|Exception|Exit|Interrupt)\b")
_LOG_RECORD = re.compile(r"^(?:[A-Z]{4,8}:?\s|\[?\d{4}-\d\d-\d\d|\[\d+\]|\{)")
# Lines of an exception that help no reader of a condition.
_NOISE = re.compile(r"^\s*(?:For further information visit |\(Background on this error at: )")


def mask_credentials(text: str) -> str:
    """Returns a text without credentials, and without values that may come from a Secret."""
    text = _CUT_PYDANTIC_INPUT.sub("***", text)
    text = _PYDANTIC_INPUT.sub("input_value=***", text)
    text = _CUT_SQL_PARAMETERS.sub("***)]", text)
    text = _SQL_PARAMETERS.sub("[parameters: ***]", text)
    text = _URL_CREDENTIALS.sub("***@", text)
    text = _INPUT.sub(r"\1***", text)
    text = _AUTHORIZATION.sub(r"\1 ***", text)
    text = _SECRET_ASSIGNMENT.sub(r"\1***", text)
    return _GENERATED.sub("***", text)


def shortened(text: str, rest: str, longest: int = MESSAGE_MAX_LENGTH) -> str:
    """Returns a text that is cut to a length, with the command that shows the rest.

    Args:
        text: The text, the most important sentence first.
        rest: The command.
        longest: The most characters of the result.
    """
    if len(text) <= longest:
        return text
    end = f"… (whole text: {rest})"
    return text[: max(0, longest - len(end))] + end


def describe_output(output: str, rest: str, longest: int = MESSAGE_MAX_LENGTH) -> str:
    """Returns the last output of a process with the cause first, and its remedy if one is known.

    Args:
        output: The last lines that the process wrote.
        rest: The command that shows all of its output.
        longest: The most characters of the result.
    """
    # Values are masked before lines are moved: a value may have several lines.
    masked = mask_credentials(_traceback_of_record(output)).strip()
    cause, before = _split(masked.splitlines())
    remedy = advice(cause or masked) or advice(output)
    if remedy:
        room = longest - len(remedy) - len("; remedy: ")
        cause = f"{shortened(cause, rest, room)}; remedy: {remedy}"
    text = f"{cause}; after: {before}" if cause and before else cause or before
    if len(text) <= longest:
        return text
    # The last frames are nearest to the cause.
    end = f" (whole text: {rest})"
    room = longest - len(cause) - len("; after: …") - len(end)
    if room < _FRAMES_MIN_LENGTH:
        return shortened(cause, rest, longest)
    return f"{cause}; after: …{before[-room:]}{end}"


def _traceback_of_record(output: str) -> str:
    """Returns the traceback in the last log record if that is JSON; else the output itself."""
    lines = output.strip().splitlines()
    if not lines or not lines[-1].startswith("{"):
        return output
    try:
        record = json.loads(lines[-1])
    except ValueError:
        return output
    for value in record.values() if isinstance(record, dict) else ():
        if isinstance(value, str) and "Traceback (most recent call last)" in value:
            return value
    return output


def _split(lines: Iterable[str]) -> tuple[str, str]:
    """Returns the lines of the last exception, and the lines before it."""
    plain = [_MARGIN.sub("", line).rstrip() for line in _without_margins(lines)]
    plain = [line for line in plain if line.strip() and not _NOISE.match(line)]
    start = _start_of_exception(plain)
    end = next((i for i in range(start + 1, len(plain)) if _LOG_RECORD.match(plain[i])), len(plain))
    cause = " ".join(line.strip() for line in plain[start:end])
    before = "\n".join((*plain[:start], *plain[end:]))
    return cause, before


def _without_margins(lines: Iterable[str]) -> list[str]:
    """Returns lines without the outer margins of nested exception groups."""
    found = list(lines)
    while any(re.match(r"^\s+\|", line) for line in found):
        found = [_MARGIN.sub("", line) for line in found]
    return found


def _start_of_exception(lines: list[str]) -> int:
    """Returns the first line of the last exception; else the last line."""
    frames = [index for index, line in enumerate(lines) if _FRAME.match(line)]
    if frames:
        # The line of code and its marks are indented, the exception is not.
        for index in range(frames[-1] + 1, len(lines)):
            if not lines[index].startswith("    "):
                return index
    named = [index for index, line in enumerate(lines) if _EXCEPTION.match(line)]
    return named[-1] if named else max(0, len(lines) - 1)
