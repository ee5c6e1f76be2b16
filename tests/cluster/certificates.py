"""Certificates of one instance, made by the openssl command.

Python 3.13 and later verify strictly (RFC 5280): every certificate carries key identifiers and
a critical key usage, and the authority a critical basic constraint.
"""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.cluster import failures

_DAYS = 3650
_AUTHORITY = """
[v3]
basicConstraints = critical, CA:TRUE
keyUsage = critical, digitalSignature, keyCertSign, cRLSign
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
"""
_LEAF = """
[v3]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = {usages}
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
{names}
"""
_NO_PROMPT = "[req]\nprompt = no\ndistinguished_name = dn\n[dn]\n"


class Authority:
    """A certificate authority in a folder, which makes the other certificates there."""

    def __init__(self, directory: Path) -> None:
        """Make the authority unless the folder has one."""
        self._directory = directory
        self.certificate = directory / "ca.crt"
        self._key = directory / "ca.key"
        if not self.certificate.exists():
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            request = self._request("ca", "CN = fastapi-operator local cluster")
            self._sign("ca", request, _AUTHORITY, ["-signkey", str(self._key)])

    def issue(
        self,
        name: str,
        common_name: str,
        *,
        organization: str | None = None,
        hosts: Sequence[str] = (),
    ) -> tuple[Path, Path]:
        """Return the paths of a certificate and its key, making them at the first call.

        Args:
            name: Stem of the two files.
            common_name: The user's name, for a client.
            organization: The user's group, for a client.
            hosts: DNS names and IP addresses of a server; without any, it is a client's.
        """
        certificate, key = self._directory / f"{name}.crt", self._directory / f"{name}.key"
        if not certificate.exists():
            subject = f"CN = {common_name}" + (f"\nO = {organization}" if organization else "")
            usages = "serverAuth, clientAuth" if hosts else "clientAuth"
            kinds = [("IP" if host.replace(".", "").isdigit() else "DNS", host) for host in hosts]
            names = ", ".join(f"{kind}:{host}" for kind, host in kinds)
            extensions = _LEAF.format(
                usages=usages, names=f"subjectAltName = {names}" if names else ""
            )
            signer = ["-CA", str(self.certificate), "-CAkey", str(self._key), "-CAcreateserial"]
            self._sign(name, self._request(name, subject), extensions, signer)
        return certificate, key

    def signing_key(self, name: str) -> Path:
        """Return the path of a private key without a certificate (service account tokens)."""
        key = self._directory / f"{name}.key"
        if not key.exists():
            _openssl(["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", str(key)])
        return key

    def _request(self, name: str, subject: str) -> Path:
        key = self.signing_key(name)
        config = self._directory / f"{name}.cnf"
        config.write_text(f"{_NO_PROMPT}{subject}\n")
        request = self._directory / f"{name}.csr"
        _openssl(
            ["req", "-new", "-config", str(config), "-key", str(key), "-out", str(request)]
        )
        config.unlink()
        return request

    def _sign(self, name: str, request: Path, extensions: str, signer: Sequence[str]) -> None:
        config = self._directory / f"{name}.cnf"
        config.write_text(extensions)
        partial = self._directory / f"{name}.partial"
        _openssl(
            ["x509", "-req", "-sha256", "-days", str(_DAYS), "-in", str(request)]
            + ["-extfile", str(config), "-extensions", "v3", "-out", str(partial), *signer]
        )
        config.unlink()
        request.unlink()
        partial.rename(self._directory / f"{name}.crt")


def _openssl(arguments: Sequence[str]) -> None:
    result = subprocess.run(["openssl", *arguments], capture_output=True, text=True)
    if result.returncode:
        raise failures.ClusterError(f"openssl {arguments[0]} failed: {result.stderr.strip()}")
