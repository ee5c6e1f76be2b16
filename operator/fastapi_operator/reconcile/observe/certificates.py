"""Whether a Secret has a certificate and its key, as an Ingress controller needs them.

No value is kept. Whether the certificate is valid for the hosts is not checked.
"""

import base64
import binascii
import re
from collections.abc import Mapping

_CERTIFICATE, _KEY = "tls.crt", "tls.key"
_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----\s(.*?)-----END \1-----", re.DOTALL)
# The first byte of a SEQUENCE in DER, and of a length that takes several bytes.
_SEQUENCE, _LONG = 0x30, 0x80


def find_fault(data: Mapping[str, str]) -> str:
    """Returns why base64 values are not a certificate with its key; empty if they are."""
    for name, label in ((_CERTIFICATE, b"CERTIFICATE"), (_KEY, b"PRIVATE KEY")):
        if not data.get(name):
            return f"has no {name}"
        if not _has_block(data[name], label):
            return f"has no {label.decode().lower()} in PEM format in {name}"
    return ""


def _has_block(coded: str, label: bytes) -> bool:
    try:
        text = base64.b64decode(coded)
        blocks = [body for found, body in _BLOCK.findall(text) if found.endswith(label)]
        return bool(blocks) and all(_is_complete(base64.b64decode(body)) for body in blocks)
    except binascii.Error:
        return False


def _is_complete(der: bytes) -> bool:
    """Whether bytes are one SEQUENCE of exactly their length."""
    if len(der) < 2 or der[0] != _SEQUENCE:
        return False
    if der[1] < _LONG:
        return len(der) == 2 + der[1]
    digits = der[1] - _LONG
    return len(der) == 2 + digits + int.from_bytes(der[2 : 2 + digits])
