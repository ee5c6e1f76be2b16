"""Certificates of one instance, made by the openssl command.

Python 3.13 and later verify strictly (RFC 5280): every certificate carries key identifiers and
a critical key usage, and the authority a critical basic constraint.
"""

from collections.abc import Sequence
from pathlib import Path

from tests.cluster import execution

_DAYS = 3650
_AUTHORITY = """
[v3]
basicConstraints = critical, CA:TRUE
keyUsage = critical, digitalSignature, keyCertSign, cRLSign
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid:always
"""
_LEAF = """
[v3]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = {usages}
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid:always
{names}
"""
_NO_PROMPT = "[req]\nprompt = no\ndistinguished_name = dn\n[dn]\n"


class Authority:
    """A certificate authority in a folder, which makes the other certificates there."""

    def __init__(self, directory: Path) -> None:
        """Make the authority unless the folder has one."""
        self._directory = directory
        self.certificate = directory / "ca.crt"
        if not self.certificate.exists():
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._make_authority()

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
            signer = [
                "-CA",
                str(self.certificate),
                "-CAkey",
                str(self.signing_key("ca")),
                "-CAcreateserial",
            ]
            self._sign(name, self._request(name, subject), extensions, signer)
        return certificate, key

    def signing_key(self, name: str) -> Path:
        """Return the path of a private key without a certificate (service account tokens)."""
        key = self._directory / f"{name}.key"
        if not key.exists():
            execution.output_of(
                ["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", str(key)]
            )
        return key

    def _make_authority(self) -> None:
        config, partial = self._directory / "ca.cnf", self._directory / "ca.partial"
        config.write_text(f"{_NO_PROMPT}CN = fastapi-operator local cluster\n{_AUTHORITY}")
        sign = ["openssl", "req", "-x509", "-new", "-sha256", "-days", str(_DAYS)]
        key = self.signing_key("ca")
        files: list[str | Path] = ["-config", config, "-key", key, "-out", partial]
        execution.output_of([*sign, "-extensions", "v3", *files])
        config.unlink()
        partial.rename(self.certificate)

    def _request(self, name: str, subject: str) -> Path:
        key = self.signing_key(name)
        config = self._directory / f"{name}.cnf"
        config.write_text(f"{_NO_PROMPT}{subject}\n")
        request = self._directory / f"{name}.csr"
        files: list[str | Path] = ["-config", config, "-key", key, "-out", request]
        execution.output_of(["openssl", "req", "-new", *files])
        config.unlink()
        return request

    def _sign(self, name: str, request: Path, extensions: str, signer: Sequence[str]) -> None:
        config = self._directory / f"{name}.cnf"
        config.write_text(extensions)
        partial = self._directory / f"{name}.partial"
        sign = ["openssl", "x509", "-req", "-sha256", "-days", str(_DAYS), *signer]
        files: list[str | Path] = ["-in", request, "-extfile", config, "-out", partial]
        execution.output_of([*sign, *files, "-extensions", "v3"])
        config.unlink()
        request.unlink()
        partial.rename(self._directory / f"{name}.crt")
