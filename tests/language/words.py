"""The avoided words and the permitted rates, as data.

To avoid one more word, add a row to `AVOIDED`. To permit a real use, extend the row's pattern, so
that the use stays permitted everywhere; there is no list of excused lines.
"""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Avoided:
    """One avoided word or phrase.

    Attributes:
        pattern: A regular expression, matched without regard to case; a space in it matches any
            white space, so that a phrase is found across lines.
        use: The replacement, or a hint for rewriting the sentence.
        reason: Why the word is avoided.
    """

    pattern: str
    use: str
    reason: str

    @property
    def regex(self) -> re.Pattern[str]:
        """The compiled pattern, limited to whole words."""
        return re.compile(rf"\b(?:{self.pattern})\b".replace(" ", r"\s+"), re.IGNORECASE)


_PROGRAM = "a program does not talk"
_ARCHAIC = "archaic"
_DIALECT = "not the field's word"
_SUBJECT = "name the subject"

AVOIDED = (
    # "stands for", "stands in for" and "stand-in" are plain English.
    Avoided(r"stands?(?! for| in for|-in|-alone)", "is", "a value is in a file or a table"),
    Avoided(r"told|tells", "reported, reports, returns, shows", _PROGRAM),
    Avoided(r"says", "reports, shows, states", _PROGRAM),
    Avoided(r"said", "reported, set, requested", _PROGRAM),
    Avoided(r"anew", "again", _ARCHAIC),
    Avoided(r"nought", "zero", _ARCHAIC),
    Avoided(r"thrice", "three times", _ARCHAIC),
    Avoided(r"hardly", "rarely, almost no", _ARCHAIC),
    Avoided(r"seldom", "rarely", _ARCHAIC),
    Avoided(r"for ever", "forever, without limit", _ARCHAIC),
    Avoided(r"in vain", "without success", _ARCHAIC),
    Avoided(r"wish|wishes|wished", "request, desired value", _DIALECT),
    Avoided(r"mend|mends|mended|mending", "fix, repair", _DIALECT),
    Avoided(r"patience|patient|patiently", "timeout, retries", _DIALECT),
    Avoided(r"goes on|go on|went on", "continues", "one word is enough"),
    Avoided(r"of ours|of yours", "our, your", _DIALECT),
    Avoided(r"blueprints?", "desired state", _DIALECT),
    Avoided(r"drawers?", "desired-state cache", _DIALECT),
    Avoided(r"wards?", "pod diagnostics", _DIALECT),
    Avoided(r"worst off", "the most loaded", _DIALECT),
    Avoided(r"lost its way", "failed, is stuck", _DIALECT),
    Avoided(r"in hand", "managed, under control", _DIALECT),
    Avoided(r"as meant|as it was meant", "as intended", _DIALECT),
    Avoided(r"nobody|somebody|anybody|whoever|whomever", "users, a person, the caller", _SUBJECT),
    Avoided(
        r"nothing (?:answers|asks|comes|goes|knows|listens|looks|moves|of|reads|rings|stays|that"
        r"|uses|waits|where|writes)",
        "no process, no change, none of",
        _SUBJECT,
    ),
    Avoided(r"(?:nothing|none|no one|it|they) answers?", "is ready, responds, returns", _PROGRAM),
    Avoided(r"what (?:[\w'-]+ ){1,3}lacks?", "missing …", "a noun is shorter"),
    Avoided(r"what (?:nobody|no one) \w+", "not requested, unknown", "a noun is shorter"),
    Avoided(
        r"(?<!there\s)(?<!where\s)is no"
        r" (?!longer|more|better|worse|different|need|reason|way|other|one|point|doubt)\w+",
        "is not a",
        "the usual negation",
    ),
    Avoided(r"asks? for nothing|asked for nothing", "requests none", _DIALECT),
    Avoided(r"thereof|wherein|whence|whereof|hereby|ere|lest|albeit", "rewrite", _ARCHAIC),
)


@dataclass(frozen=True)
class Rate:
    """How often words may occur, per 10,000 words of prose.

    Attributes:
        name: The word as shown.
        words: The words that are counted, in lower case.
        least: The least permitted rate.
        most: The largest permitted rate, or None.
    """

    name: str
    words: tuple[str, ...]
    least: float = 0
    most: float | None = None


RATES = (
    Rate("if", ("if",), least=60),
    Rate("what", ("what",), most=12),
    Rate("where", ("where",), most=15),
    Rate("answers", ("answer", "answers"), most=5),
    Rate("stands", ("stand", "stands"), most=2),
    Rate("tells", ("tell", "tells", "told"), most=3),
    Rate("for example", ("for example",), least=1),
    Rate("when", ("when",)),
    Rate("unless", ("unless",)),
)
