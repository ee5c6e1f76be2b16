"""Maps the names under which a project reads its connections to their values."""

import re
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field

from fastapi_operator.project.variable import Variable
from fastapi_operator.resources.environment import CONTRACT

CONTRACT_NAMES = frozenset(variable.name for variable in CONTRACT)
# Words that show which store a name belongs to; the first match is used.
_STORES = {
    "queue": re.compile(r"(^|_)(CELERY|BROKER|QUEUE|ARQ|TASKIQ|DRAMATIQ|RQ|SAQ)(_|$)"),
    "redis": re.compile(r"(^|_)(REDIS|VALKEY|CACHE)(_|$)"),
    "database": re.compile(
        r"(^|_)(POSTGRES|POSTGRESQL|PG|PSQL|DB|DATABASE|SQLALCHEMY|LISTEN)(_|$)"
        r"|^PG[A-Z]+$|^DBNAME$"
    ),
}
# Other stores, and settings that only have such a word in their name.
_OTHERS = re.compile(
    r"(^|_)(TESTS?|TESTING|MYSQL|SQLITE|MONGO|MONGODB|RABBIT|RABBITMQ|AMQP|SMTP|MAIL|KAFKA|ECHO"
    r"|ADMIN|SUPERUSER|SCHEMA|TTL|EXPIRE|EXPIRATION|PREFIX|SSL|TIMEOUT|ENABLED|AGE|DEBUG)(_|$)"
)
# The end of a name, and the value that it has.
_ENDS = tuple(
    (source, re.compile(rf"(^|_)({ends})$"))
    for source, ends in (
        ("PoolSize", r"POOL_SIZE|(MAX|MIN)_(CONNECTIONS?(_COUNT)?|POOL_SIZE)|POOL_(MIN|MAX)"),
        ("DirectUrl", r"DIRECT_(URL|DSN|URI)|(URL|DSN|URI)_DIRECT|LISTEN_(URL|DSN)"),
        ("Url", r"URL|URI|DSN|CONNECTION_STRING|(RESULT|CELERY)_BACKEND|CELERY_BROKER"),
        ("Host", r"HOST|SERVER|HOSTNAME|ADDRESS|PGHOST"),
        ("Port", r"PORT|PGPORT"),
        ("Username", r"USER|USERNAME|USER_NAME|LOGIN|PGUSER"),
        ("Password", r"PASSWORD|PASS|PASSWD|PWD|PGPASSWORD"),
        ("Name", r"NAME|DB|DATABASE|PGDATABASE|DBNAME"),
    )
)
# libpq reads these itself, so code that names one relies on all of them.
_LIBPQ = {
    "PGHOST": "Host",
    "PGPORT": "Port",
    "PGDATABASE": "Name",
    "PGUSER": "Username",
    "PGPASSWORD": "Password",
}
# A pool of a connection without a word for its store is that of the database.
_POOL = re.compile(r"^(MAX|MIN)_(CONNECTIONS?(_COUNT)?|POOL_SIZE)$|^POOL_SIZE$")
# Values that a store does not have.
_WITHOUT = {"database": (), "redis": ("DirectUrl",), "queue": ("DirectUrl", "PoolSize")}
_ADDRESSES = frozenset({"Host", "Url", "DirectUrl"})


@dataclass(frozen=True)
class Names:
    """The app's own names of its connections.

    Attributes:
        stores: For each store, the value of each name, for example
            ``{"database": {"POSTGRES_SERVER": "Host"}}``.
        values: For each store, the values that the code reads, also by names of the contract.
        overrides: Names of the contract that mean another store in this app, and their value.
        contract: The names of the contract that the code reads.
    """

    stores: Mapping[str, Mapping[str, str]]
    values: Mapping[str, frozenset[str]]
    overrides: Mapping[str, str] = field(default_factory=dict)
    contract: frozenset[str] = frozenset()

    @property
    def all(self) -> frozenset[str]:
        """All names."""
        return frozenset(name for names in self.stores.values() for name in names)

    def reads(self, store: str, *values: str) -> bool:
        """Whether the code reads one of some values of a store."""
        return bool(self.values.get(store, frozenset()) & set(values))

    def finds(self, store: str) -> bool:
        """Whether the code reads the address of a store."""
        return self.reads(store, *_ADDRESSES)

    def is_default_user(self, store: str) -> bool:
        """Whether the code knows a password of a store, but no user."""
        return self.reads(store, "Password") and not self.reads(store, "Username", "Url")


def connection_names(
    variables: Iterable[Variable],
    stores: frozenset[str],
    queue_reads: frozenset[str],
    direct_reads: frozenset[str],
) -> Names:
    """Returns the names that mean a connection.

    Args:
        variables: The variables that the code reads.
        stores: The stores that the project uses: ``database``, ``redis``, ``queue``.
        queue_reads: Names in the expressions of the project's brokers in Redis.
        direct_reads: Names in the expressions of what cannot use the pooler.
    """
    found: dict[str, dict[str, str]] = {}
    values: dict[str, set[str]] = {}
    overrides: dict[str, str] = {}
    for variable in variables:
        name = variable.name
        store = _store(name, queue_reads if "queue" in stores else frozenset())
        value = next((value for value, end in _ENDS if end.search(name.upper())), None)
        if store not in stores or store is None or value is None or value in _WITHOUT[store]:
            continue
        if value == "Url" and _is_read(name, direct_reads):
            value = "DirectUrl"
        values.setdefault(store, set()).add(value)
        if name not in CONTRACT_NAMES:
            found.setdefault(store, {})[name] = value
        elif store == "queue" and name.startswith("REDIS_"):
            overrides[name] = f"$({name.replace('REDIS', 'QUEUE', 1)})"
    if "PGHOST" in found.get("database", {}):
        found["database"] |= _LIBPQ
    return Names(
        {store: _consistent(names, values[store], variables) for store, names in found.items()},
        {store: frozenset(read) for store, read in values.items()},
        overrides,
        CONTRACT_NAMES & {variable.name for variable in variables},
    )


def _store(name: str, queue_reads: frozenset[str]) -> str | None:
    upper = name.upper()
    if _OTHERS.search(upper):
        return None
    if _is_read(name, queue_reads):
        return "queue"
    for store, words in _STORES.items():
        if words.search(upper):
            return store
    return "database" if _POOL.search(upper) else None


def _is_read(name: str, reads: frozenset[str]) -> bool:
    """Whether an expression reads a variable, by its name or by that of its field."""
    upper = name.upper()
    return any(upper == read or upper.endswith(f"_{read}") for read in reads if "_" in read)


def _consistent(
    names: Mapping[str, str], values: Set[str], variables: Iterable[Variable]
) -> dict[str, str]:
    """Drops an optional URL beside its parts: such code makes the URL from the parts."""
    required = {variable.name for variable in variables if variable.required}
    has_parts = values >= {"Host", "Password"}
    return {
        name: value
        for name, value in names.items()
        if not (value == "Url" and has_parts and name not in required)
    }
