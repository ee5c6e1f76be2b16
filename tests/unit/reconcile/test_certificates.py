"""Faults of Secrets that are not a certificate with its key."""

import base64
import subprocess
from pathlib import Path

import pytest

from fastapi_operator.reconcile.observe.certificates import find_fault

EC = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")
RSA = ("-newkey", "rsa:2048")


def pair(folder: Path, *algorithm: str) -> dict[str, str]:
    command = ["openssl", "req", "-x509", *algorithm, "-nodes", "-subj", "/CN=shop"]
    files = {"tls.crt": folder / "chain", "tls.key": folder / "key"}
    output = ["-out", str(files["tls.crt"]), "-keyout", str(files["tls.key"])]
    subprocess.run([*command, *output], check=True, capture_output=True)
    return {name: path.read_text() for name, path in files.items()}


def fault(**values: str) -> str:
    return find_fault(
        {key: base64.b64encode(text.encode()).decode() for key, text in values.items()}
    )


@pytest.mark.parametrize("algorithm", [EC, RSA])
def test_certificates_of_openssl_have_no_fault(tmp_path: Path, algorithm: tuple[str, ...]) -> None:
    found = pair(tmp_path, *algorithm)
    assert fault(**found) == ""
    chain = {"tls.crt": "subject=CN = shop\n" + found["tls.crt"] * 2}
    assert fault(**found | chain) == "", "a chain with a comment"
    parameters = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
    assert fault(**found | {"tls.key": parameters + found["tls.key"]}) == ""


def test_each_fault_names_its_key(tmp_path: Path) -> None:
    found = pair(tmp_path, *EC)
    assert fault() == "has no tls.crt"
    assert fault(**{"tls.crt": found["tls.crt"]}) == "has no tls.key"
    assert fault(**found | {"tls.crt": ""}) == "has no tls.crt"
    swapped = {"tls.crt": found["tls.key"], "tls.key": found["tls.crt"]}
    assert fault(**swapped) == "has no certificate in PEM format in tls.crt"
    cut = "".join(found["tls.crt"].splitlines(keepends=True)[:-3]) + "-----END CERTIFICATE-----\n"
    assert fault(**found | {"tls.crt": cut}) == "has no certificate in PEM format in tls.crt"
    assert fault(**found | {"tls.key": "x"}) == "has no private key in PEM format in tls.key"
    assert find_fault({"tls.crt": "%", "tls.key": "%"}).startswith("has no certificate")
