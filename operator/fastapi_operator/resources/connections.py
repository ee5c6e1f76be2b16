"""The connections of each process of the image: address, credentials and URL of its stores.

Each process gets its own values under the same names. The app reaches the database through the
pooler, and a migration directly, as the owner of the schema.

A password of a user's Secret may have characters that are not valid in a URL, and Kubernetes cannot
encode them. The URL then has no credentials: drivers read PGUSER and PGPASSWORD instead. Generated
passwords have only letters and digits.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from fastapi_operator.api.connections import (
    Connections,
    DatabaseConnections,
    DirectConnections,
)
from fastapi_operator.api.redis import Queue, Redis, StoreSecretKeys
from fastapi_operator.api.service import Spec
from fastapi_operator.parts import Part
from fastapi_operator.resources.access import CA_FILE, Access, access, migrators_access
from fastapi_operator.resources.desired import PASSWORD, USERNAME
from fastapi_operator.resources.inputs import DATABASE, DEFAULT_USER, MIGRATOR_ROLE, Inputs
from fastapi_operator.resources.variable import ALL, Process, SecretKey, Value, Variable

AUTHORITY_DIRECTORY = "/etc/database"

# The end of the contract's name of each source.
_SUFFIXES = {
    "Host": "HOST",
    "Port": "PORT",
    "Name": "NAME",
    "Username": "USERNAME",
    "Password": "PASSWORD",
    "Url": "URL",
    "DirectUrl": "DIRECT_URL",
    "PoolSize": "POOL_SIZE",
}
_REDIS_POOL_SIZE = "REDIS_MAX_CONNECTIONS"


@dataclass(frozen=True)
class Endpoint:
    """A server, and as whom a process connects to it.

    Attributes:
        host: Its host.
        port: Its port.
        name: The database, or the number of a Redis database.
        username: The user.
        password: The password.
        access: How its certificate is verified, if the credentials are in a user's Secret.
    """

    host: Value = None
    port: Value = None
    name: Value = None
    username: Value = None
    password: Value = None
    access: Access | None = None


def contract_name(section: str, source: str) -> str:
    """Returns the variable of the contract with a source's value.

    Args:
        section: The section of ``spec.connections``.
        source: The source, for example ``Host``.
    """
    if section == "redis" and source == "PoolSize":
        return _REDIS_POOL_SIZE
    return f"{section.upper()}_{_SUFFIXES[source]}"


def own_names(spec: Spec) -> Iterator[tuple[str, str, str]]:
    """Yields section, variable and source of each name that the app itself chose."""
    connections = spec.connections or Connections()
    for section in ("database", "redis", "queue"):
        given = getattr(connections, section)
        for name, source in ((given and given.env) or {}).items():
            yield section, name, source


def drivers(spec: Spec) -> dict[str, str]:
    """Returns the driver in the scheme of each URL of the database that has one."""
    section = _database_section(spec)
    found = {
        "DATABASE_URL": section.driver,
        "DATABASE_DIRECT_URL": section.direct and section.direct.driver,
    }
    return {variable: driver for variable, driver in found.items() if driver}


def direct_section(spec: Spec) -> DirectConnections | None:
    """Returns ``spec.connections.database.direct``."""
    return _database_section(spec).direct


def direct_port(inputs: Inputs) -> int | None:
    """Returns the port of DATABASE_DIRECT_URL; None if a Secret holds it."""
    endpoint = _direct(inputs)
    return endpoint.port if endpoint is not None and isinstance(endpoint.port, int) else None


def authority(inputs: Inputs, process: Process) -> Access | None:
    """Returns the access whose authority's certificate the process needs; None without one."""
    for endpoint in (_database(inputs, process), _direct(inputs)):
        if endpoint is not None and endpoint.access and endpoint.access.authority:
            return endpoint.access
    return None


def connects(inputs: Inputs) -> bool:
    """Whether the process opens connections to the database."""
    if inputs.plan.database is None:
        return False
    return inputs.process is None or inputs.process.connections.value > 0


def _database_section(spec: Spec) -> DatabaseConnections:
    return (spec.connections or Connections()).database or DatabaseConnections()


def _external(inputs: Inputs, process: Process) -> Access | None:
    """Returns a process's own access to a database with a user's Secret; None if it needs none."""
    if process is Process.MIGRATION:
        return migrators_access(inputs)
    return access(inputs) if inputs.plan.pooler is None else None


def _database(inputs: Inputs, process: Process) -> Endpoint | None:
    """The endpoint of DATABASE_URL."""
    if not connects(inputs):
        return None
    external = _external(inputs, process)
    if external is not None:
        return _of_access(external)
    own = inputs.name_of(Part.DATABASE)
    if process is Process.MIGRATION:
        return _managed(own, Part.DATABASE, MIGRATOR_ROLE, SecretKey(own, MIGRATOR_ROLE))
    server = Part.DATABASE if inputs.plan.pooler is None else Part.POOLER
    # In front of an external database the pooler has a password of its own.
    secret = own if inputs.runs_database else inputs.name_of(Part.POOLER)
    return _managed(
        inputs.name_of(server), server, SecretKey(secret, USERNAME), SecretKey(secret, PASSWORD)
    )


def _direct(inputs: Inputs) -> Endpoint | None:
    """The endpoint of DATABASE_DIRECT_URL: the database itself, as the role of the app."""
    section = direct_section(inputs.spec)
    if section is None or not connects(inputs):
        return None
    external = access(inputs)
    if external is None:
        own = inputs.name_of(Part.DATABASE)
        return _managed(own, Part.DATABASE, SecretKey(own, USERNAME), SecretKey(own, PASSWORD))
    return _of_access(external, section.host, section.port)


def _managed(host: str, part: Part, username: Value, password: Value) -> Endpoint:
    return Endpoint(host, part.port, DATABASE, username, password)


def _of_access(found: Access, host: str | None = None, port: int | None = None) -> Endpoint:
    def key(name: str) -> SecretKey:
        return SecretKey(found.secret, found.keys[name])

    own_port = found.port or key("port")
    return Endpoint(
        host=host or key("host"),
        port=port or (Part.DATABASE.port if host else own_port),
        name=key("dbname"),
        username=key("username"),
        password=key("password"),
        access=found,
    )


def _database_url(inputs: Inputs, process: Process) -> Value:
    endpoint = _database(inputs, process)
    if endpoint is None:
        return None
    credentials = _credentials(endpoint, "DATABASE") if endpoint.access is None else ""
    return _postgresql_url(endpoint, "DATABASE", credentials, _database_section(inputs.spec).driver)


def _direct_url(inputs: Inputs, process: Process) -> Value:
    endpoint, section = _direct(inputs), direct_section(inputs.spec)
    if endpoint is None or section is None:
        return None
    # PGUSER and PGPASSWORD of a migration may be the owner's; the direct URL never is.
    by_variables = endpoint.access is not None and _libpq(inputs, process) == endpoint.access
    credentials = "" if by_variables else _credentials(endpoint, "DATABASE_DIRECT")
    url = _postgresql_url(endpoint, "DATABASE_DIRECT", credentials, section.driver)
    if endpoint.access is None:
        return url
    # SQLAlchemy passes options to asyncpg, whose own name for libpq's sslmode is ssl.
    option = "ssl" if section.driver == "asyncpg" else "sslmode"
    return f"{url}?{option}={endpoint.access.ssl_mode}"


def _postgresql_url(endpoint: Endpoint, prefix: str, credentials: str, driver: str | None) -> str:
    scheme = f"postgresql+{driver}" if driver else "postgresql"
    host = _reference(endpoint.host, f"{prefix}_HOST")
    port = _reference(endpoint.port, f"{prefix}_PORT")
    return f"{scheme}://{credentials}{host}:{port}/{_reference(endpoint.name, f'{prefix}_NAME')}"


def _credentials(endpoint: Endpoint, prefix: str) -> str:
    username = _reference(endpoint.username, f"{prefix}_USERNAME")
    return f"{username}:$({prefix}_PASSWORD)@"


def _reference(value: Value, variable: str) -> str:
    """A value as a part of another variable."""
    return f"$({variable})" if isinstance(value, SecretKey) else str(value)


def _libpq(inputs: Inputs, process: Process) -> Access | None:
    """The access whose user and password drivers read from PGUSER and PGPASSWORD."""
    if not connects(inputs):
        return None
    external = _external(inputs, process)
    if external is None and direct_section(inputs.spec) is not None:
        return access(inputs)
    return external


def _of_libpq(read: Callable[[Access], Value]) -> Callable[[Inputs, Process], Value]:
    def value(inputs: Inputs, process: Process) -> Value:
        found = _libpq(inputs, process)
        return None if found is None else read(found)

    return value


def _ssl_mode(inputs: Inputs, process: Process) -> Value:
    """Of all connections; the pooler has no TLS, so a direct URL beside it has its own option."""
    endpoint = _database(inputs, process)
    return endpoint.access.ssl_mode if endpoint is not None and endpoint.access else None


def _root_certificate(inputs: Inputs, process: Process) -> Value:
    found = authority(inputs, process)
    return f"{AUTHORITY_DIRECTORY}/{CA_FILE}" if found is not None else None


def _store(inputs: Inputs, part: Part) -> Endpoint | None:
    """The endpoint of the cache or the queue."""
    section: Redis | Queue | None
    section = inputs.spec.redis if part is Part.CACHE else inputs.spec.queue
    if section is None:
        return None
    if section.managed:
        name = inputs.name_of(part)
        user: Value = DEFAULT_USER if inputs.default_user(part) else SecretKey(name, USERNAME)
        return Endpoint(name, part.port, "0", user, SecretKey(name, PASSWORD))
    if section.secret_ref is None:
        return None
    keys, secret = section.secret_ref.keys or StoreSecretKeys(), section.secret_ref.name

    def value(key: str | None) -> Value:
        return SecretKey(secret, key) if key else None

    return Endpoint(
        host=value(keys.host),
        port=value(keys.port),
        name=value(keys.name),
        username=value(keys.username),
        password=value(keys.password),
    )


def _store_url(inputs: Inputs, part: Part, prefix: str) -> Value:
    section: Redis | Queue | None
    section = inputs.spec.redis if part is Part.CACHE else inputs.spec.queue
    endpoint = _store(inputs, part)
    if section is None or endpoint is None:
        return None
    if section.secret_ref is not None:
        secret = section.secret_ref
        has_url = secret.key is not None or secret.keys is None
        return SecretKey(secret.name, secret.key or "url") if has_url else None
    credentials = _credentials(endpoint, prefix)
    return f"redis://{credentials}{endpoint.host}:{endpoint.port}/{endpoint.name}"


def _rows(
    prefix: str,
    whole: str,
    endpoint: Callable[[Inputs, Process], Endpoint | None],
    url: Callable[[Inputs, Process], Value],
    meanings: Mapping[str, str],
) -> Iterator[Variable]:
    """Yields the variables of one endpoint; those of which the URL consists come first."""

    def of(field: str) -> Callable[[Inputs, Process], Value]:
        def value(inputs: Inputs, process: Process) -> Value:
            found = endpoint(inputs, process)
            return None if found is None else getattr(found, field)

        return value

    for field, meaning in meanings.items():
        yield Variable(f"{prefix}_{field.upper()}", meaning, of(field), ALL)
    yield Variable(f"{prefix}_URL", whole, url, ALL)


DATABASE_VARIABLES = (
    *_rows(
        "DATABASE",
        "PostgreSQL: through the pooler if there is one; in a migration without it, as the owner "
        "of the schema",
        _database,
        _database_url,
        {
            "host": "host of the pooler or, in a migration and without a pooler, of the database",
            "port": "port of DATABASE_HOST",
            "name": "name of the database",
            "username": "role of the process: a migration has the owner's",
            "password": "password of DATABASE_USERNAME",
        },
    ),
    *_rows(
        "DATABASE_DIRECT",
        "PostgreSQL without the pooler, as the role of the app: for LISTEN and session locks, if "
        "spec.connections.database.direct is set",
        lambda inputs, _: _direct(inputs),
        _direct_url,
        {
            "host": "host of DATABASE_DIRECT_URL",
            "port": "port of DATABASE_DIRECT_URL",
            "name": "name of the database of DATABASE_DIRECT_URL",
            "username": "role of DATABASE_DIRECT_URL",
            "password": "password of DATABASE_DIRECT_USERNAME",
        },
    ),
    Variable(
        "PGUSER",
        "user of a URL without credentials, whose password is in your Secret; drivers read it",
        _of_libpq(lambda found: SecretKey(found.secret, found.keys["username"])),
        ALL,
    ),
    Variable(
        "PGPASSWORD",
        "password of PGUSER",
        _of_libpq(lambda found: SecretKey(found.secret, found.keys["password"])),
        ALL,
    ),
    Variable("PGSSLMODE", "how drivers verify the database's certificate", _ssl_mode, ALL),
    Variable(
        "PGSSLROOTCERT", "certificate of the authority that signed it", _root_certificate, ALL
    ),
)
CACHE_VARIABLES = tuple(
    _rows(
        "REDIS",
        "the cache",
        lambda inputs, _: _store(inputs, Part.CACHE),
        lambda inputs, _: _store_url(inputs, Part.CACHE, "REDIS"),
        {
            "host": "host of the cache; of an external one if spec.redis.secretRef.keys has it",
            "port": "port of the cache",
            "name": "number of the cache's database",
            "username": "user of the cache",
            "password": "password of REDIS_USERNAME",
        },
    )
)
QUEUE_VARIABLES = tuple(
    _rows(
        "QUEUE",
        "the broker of background work",
        lambda inputs, _: _store(inputs, Part.QUEUE),
        lambda inputs, _: _store_url(inputs, Part.QUEUE, "QUEUE"),
        {
            "host": "host of the queue; of an external one if spec.queue.secretRef.keys has it",
            "port": "port of the queue",
            "name": "number of the queue's database, or the virtual host of an external broker",
            "username": "user of the queue",
            "password": "password of QUEUE_USERNAME",
        },
    )
)
