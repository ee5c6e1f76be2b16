"""Scalars and their values as read by kubectl; tests/api compares them with the real kubectl."""

from typing import Any

SCALARS: dict[str, Any] = {
    **dict.fromkeys(["yes", "Yes", "YES", "on", "On", "ON", "y", "Y", "true", "True"], True),
    **dict.fromkeys(["no", "No", "NO", "off", "Off", "OFF", "n", "N", "false", "FALSE"], False),
    **dict.fromkeys(["~", "null", "Null", "NULL", ""], None),
    **{text: text for text in ["yEs", "tRUE", "nUll", "None", "none", "nan", "inf", "="]},
    **{text: text for text in ["2026-01-01", "2026-01-01T00:00:00Z", "1:30", "190:20:30"]},
    **{text: text for text in ["1.2.3", "12e", "1e", "0x", "0xg", "+", "1-2", "1,000"]},
    **{text: text for text in [".", "..", "._5", ".e5", "_1", "0x1p4", "1e400", "٣"]},
    "0777": 511,
    "0o17": 15,
    "0O17": 15,
    "-0x1F": -31,
    "0x1F": 31,
    "0b101": 5,
    "-0b101": -5,
    "08": 8,
    "00": 0,
    "-0": 0,
    "+12": 12,
    "1_000": 1000,
    "1__0": 10,
    "1e3": 1000,
    "1E+3": 1000,
    "1.0": 1,
    "5.": 5,
    "1.5e3": 1500,
    ".5": 0.5,
    "+.5": 0.5,
    "0.1": 0.1,
    "1e-7": 1e-7,
    "1_0.5": 10.5,
    "9223372036854775807": 2**63 - 1,
    '"yes"': "yes",
    "'5'": "5",
    '"0x1F"': "0x1F",
    "!!str 5": "5",
    "!!int 5": 5,
    "!!float 5": 5,
    "!!str yes": "yes",
    "!!bool yes": True,
}

# Scalars that kubectl cannot send either.
REFUSED = [".inf", "-.inf", ".nan", "!!int five", "!!bool 5"]
