"""PgBouncer before a database that is not ours: real servers, SCRAM, TLS, hostile values."""

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.unit.resources.operands import Pod, container, eventually, files, program, wanted

SERVER = "/var/lib/server"
PASSWORD = """p@ss'w"o rd/#%;$&\\ `x` {y} ü"""
KEYS = {"host": "h", "port": "p", "database": "d", "username": "u", "password": "w"}
EXTERNAL = {
    "mode": "External",
    "secretRef": {"name": "shop-database", "keys": KEYS},
    "maxConnections": 100,
    "tls": {"mode": "VerifyFull", "caRef": {"name": "company-ca"}},
    "migrations": {},
}


class Company:
    """A certificate authority and a PostgreSQL that takes TLS and SCRAM alone."""

    def __init__(self, pod: Pod) -> None:
        self.pod = pod
        self.data = pod.directory(SERVER)
        # Not a port of the operator's pod: it is in the Secret.
        self.port = pod.port(5433)
        self._authority("ca")
        self._authority("other")
        self._certificate()
        self._initialise()

    def authority(self, name: str = "ca") -> str:
        """The authority's certificate in PEM."""
        return (self.data / f"{name}.crt").read_text()

    def secret(self, **changes: str) -> dict[str, str]:
        """The Secret's values as files."""
        values = {
            "host": "localhost",
            "port": str(self.port),
            "dbname": "sh'op",
            "username": "shop owner",
            "password": PASSWORD,
        }
        return {f"database/{name}": text for name, text in (values | changes).items()}

    def ask(self, statement: str) -> str:
        """Asks the server as its superuser, over its socket."""
        return done(
            self.pod.run(
                *("psql", "-X", "-A", "-t", "-h", str(self.data), "-p", str(self.port)),
                *("-U", "postgres", "-d", "postgres", "-c", statement),
            )
        )

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Runs the server for the length of a block."""
        with self.pod.running("postgres", "-D", f"{self.data}/cluster"):
            ready = ("pg_isready", "-q", "-h", str(self.data), "-p", str(self.port))
            eventually(lambda: self.pod.run(*ready).returncode == 0, "the server answers")
            role = PASSWORD.replace("'", "''")
            self.ask(f"CREATE ROLE \"shop owner\" LOGIN PASSWORD '{role}'")
            self.ask('CREATE DATABASE "sh\'op" OWNER "shop owner"')
            yield

    def _authority(self, name: str) -> None:
        self._openssl(
            *("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.crt"),
        )

    def _certificate(self) -> None:
        (self.data / "names").write_text("subjectAltName=DNS:localhost")
        self._openssl(
            *("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=database"),
            *("-keyout", "server.key", "-out", "server.csr"),
        )
        self._openssl(
            *("x509", "-req", "-in", "server.csr", "-CA", "ca.crt", "-CAkey", "ca.key"),
            *("-CAcreateserial", "-days", "2", "-extfile", "names", "-out", "server.crt"),
        )

    def _openssl(self, *arguments: str) -> None:
        done(self.pod.run("sh", "-c", 'cd "$0" && exec openssl "$@"', str(self.data), *arguments))

    def _initialise(self) -> None:
        done(self.pod.run("initdb", "-U", "postgres", "-E", "UTF8", "-D", f"{self.data}/cluster"))
        (self.data / "cluster" / "postgresql.auto.conf").write_text(
            f"port = {self.port}\nunix_socket_directories = '{self.data}'\nssl = on\n"
            f"ssl_cert_file = '{self.data}/server.crt'\nssl_key_file = '{self.data}/server.key'\n"
        )
        (self.data / "cluster" / "pg_hba.conf").write_text(
            "local all postgres trust\nhostssl all all all scram-sha-256\n"
        )


def done(result: subprocess.CompletedProcess[str]) -> str:
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


@pytest.fixture
def pod(tmp_path: Path) -> Pod:
    for name in ("pgbouncer", "initdb", "psql"):
        program(name)
    pod = Pod(tmp_path)
    for path in ("/etc/pgbouncer", "/run/pgbouncer"):
        pod.directory(path)
    pod.port(5432)
    return pod


@pytest.fixture(scope="module")
def company() -> Iterator[Company]:
    with tempfile.TemporaryDirectory(prefix="operands-") as folder:
        Path(folder).chmod(0o755)
        company = Company(Pod(Path(folder)))
        with company.serving():
            yield company


def configure(pod: Pod, company: Company, authority: str = "ca", **changes: str) -> None:
    found = files(wanted(postgres=EXTERNAL), "shop-pooler")
    # Debian 12 has 1.18, which knows no tracking of prepared statements.
    found["pgbouncer.ini"] = found["pgbouncer.ini"].replace("max_prep", ";max_prep")
    found["userlist.txt"] = '"app" "first"\n'
    pod.write("/etc/pgbouncer", found)
    # Values of Secrets must not be replaced as paths of the pod.
    for name, text in {"ca.crt": company.authority(authority), **company.secret(**changes)}.items():
        path = pod.paths["/etc/pgbouncer"] / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)


@contextmanager
def serving(pod: Pod) -> Iterator[None]:
    objects = wanted(postgres=EXTERNAL)
    sidecar = container(objects, "Deployment/shop-pooler", "reload")["command"]
    script = sidecar[2].replace("sleep 5", "sleep 0.2")
    command = container(objects, "Deployment/shop-pooler", "pgbouncer")["command"]
    hurried = command[2].replace("sleep 3", "sleep 0.1")
    with pod.running(*sidecar[:2], script), pod.running(*command[:2], hurried):
        eventually(lambda: "FATAL" in ask(pod, password="wrong"), "PgBouncer answers")
        yield


def ask(pod: Pod, statement: str = "SELECT 1", password: str = "first") -> str:
    url = f"postgresql://app:{password}@127.0.0.1:{pod.port(5432)}/app"
    result = pod.run("psql", "-X", "-A", "-t", "-d", url, "-c", statement)
    return (result.stdout + result.stderr).strip()


def test_the_app_needs_a_password_only_for_the_pooler(pod: Pod, company: Company) -> None:
    configure(pod, company)
    with serving(pod):
        who = "SELECT current_user, current_database(), ssl FROM pg_stat_ssl"
        answer = ask(pod, f"{who} WHERE pid = pg_backend_pid()")
        assert answer == "shop owner|sh'op|t", pod.output()
        assert "FATAL" in ask(pod, password="wrong")
    assert PASSWORD not in pod.output()


def test_a_server_of_another_authority_is_rejected(pod: Pod, company: Company) -> None:
    configure(pod, company, authority="other")
    with serving(pod):
        assert "certificate verify failed" in ask(pod) + pod.output()


def test_a_server_with_another_name_is_rejected(pod: Pod, company: Company) -> None:
    configure(pod, company, host="127.0.0.1")
    with serving(pod):
        ask(pod)
        assert "not present in server certificate" in pod.output()


def test_a_changed_secret_is_reloaded_without_a_restart(pod: Pod, company: Company) -> None:
    configure(pod, company, authority="other")
    with serving(pod):
        company.ask("CREATE ROLE second LOGIN PASSWORD 'other'")
        configure(pod, company, username="second", password="other", dbname="postgres")
        eventually(lambda: ask(pod, "SELECT current_user") == "second", "it reloads")


@pytest.mark.parametrize("value", ["", "first\nsecond"])
def test_an_invalid_value_is_reported_by_its_key(pod: Pod, company: Company, value: str) -> None:
    configure(pod, company, password=value)
    objects = wanted(postgres=EXTERNAL)
    start = container(objects, "Deployment/shop-pooler", "pgbouncer")["command"]
    result = pod.run(*start)
    assert result.returncode == 1
    assert "Secret shop-database" in result.stderr
    assert "key w" in result.stderr
    assert "second" not in result.stderr


def test_a_migration_connects_with_any_password(pod: Pod, company: Company) -> None:
    password = PASSWORD.replace("'", "''")
    company.ask(f"CREATE ROLE owner LOGIN PASSWORD '{password}'")
    secret = {"h": "localhost", "p": str(company.port), "d": "postgres", "u": "owner"}
    secret["w"] = PASSWORD
    pod.directory("/etc/database")
    pod.write("/etc/database", {"ca.crt": company.authority()})
    (job,) = [item for key, item in wanted(postgres=EXTERNAL).items() if key.startswith("Job/")]
    (migrate,) = job.body["spec"]["template"]["spec"]["containers"]
    known: dict[str, str] = {}
    for entry in migrate["env"]:
        source = entry.get("valueFrom", {}).get("secretKeyRef")
        if source and source["name"] != "shop-database":
            continue
        text = secret[source["key"]] if source else entry["value"]
        for name, value in known.items():
            text = text.replace(f"$({name})", value)
        known[entry["name"]] = text
    assert PASSWORD not in known["DATABASE_URL"]
    known["PGSSLROOTCERT"] = pod.localize(known["PGSSLROOTCERT"])
    libpq = [f"{name}={text}" for name, text in known.items() if name.startswith("PG")]
    ask = ("psql", "-X", "-A", "-t", "-d", known["DATABASE_URL"], "-c", "SELECT current_user")
    assert done(pod.run("env", *libpq, *ask)) == "owner"
    assert (
        "certificate verify failed"
        in pod.run("env", *libpq, f"PGSSLROOTCERT={company.data}/other.crt", *ask).stderr
    )
