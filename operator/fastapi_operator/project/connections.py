"""Maps the names under which a project reads its connections to their values."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from fastapi_operator.project.variables import Variable
from fastapi_operator.resources.environment import CONTRACT

CONTRACT_NAMES = frozenset(variable.name for variable in CONTRACT)
# Words that show which store a name belongs to; the first match is used.
_STORES = {
    "queue": re.compile(r"(^|_)(CELERY|BROKER|QUEUE|ARQ|TASKIQ|DRAMATIQ|RQ|SAQ)(_|$)"),
    "redis": re.compile(r"(^|_)(REDIS|VALKEY|CACHE)(_|$)"),
    "database": re.compile(
        r"(^|_)(POSTGRES|POSTGRESQL|PG|PSQL|DB|DATABASE|SQLALCHEMY|LISTEN)(_|$)|^PG[A-Z]+$|^DBNAME$"
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
# Values that a store does not have. The number of a Redis database is not its name.
_WITHOUT: Mapping[str, tuple[str, ...]] = {
    "database": (),
    "redis": ("Name", "DirectUrl"),
    "queue": ("Name", "DirectUrl", "PoolSize"),
}
_ADDRESSES = frozenset({"Host", "Url", "DirectUrl"})


@dataclass(frozen=True)
class Names:
    """The app's own names of its connections.

    Attributes:
        stores: For each store, the value of each name, for example
            ``{"database": {"POSTGRES_SERVER": "Host"}}``.
        overrides: Names of the contract that mean another store in this app, and their value.
    """

    stores: Mapping[str, Mapping[str, str]]
    overrides: Mapping[str, str] = field(default_factory=dict)

    @property
    def all(self) -> frozenset[str]:
        """All names."""
        return frozenset(name for names in self.stores.values() for name in names)

    def finds(self, store: str) -> bool:
        """Whether a name has the address of a store."""
        return bool(_ADDRESSES & set(self.stores.get(store, {}).values()))


def connection_names(
    variables: Iterable[Variable], stores: frozenset[str], queue_reads: frozenset[str]
) -> Names:
    """Returns the names that mean a connection.

    Args:
        variables: The variables that the code reads.
        stores: The stores that the project uses: ``database``, ``redis``, ``queue``.
        queue_reads: Names in the expressions of the project's brokers.
    """
    found: dict[str, dict[str, str]] = {}
    overrides: dict[str, str] = {}
    for variable in variables:
        name = variable.name
        store = _store(name, queue_reads, stores)
        source = next((source for source, end in _ENDS if end.search(name.upper())), None)
        if store is None or source is None or store not in stores:
            continue
        if name in CONTRACT_NAMES:
            if store == "queue" and name == "REDIS_URL":
                overrides[name] = "$(QUEUE_URL)"
        elif source not in _WITHOUT[store]:
            found.setdefault(store, {})[name] = source
    if "PGHOST" in found.get("database", {}):
        found["database"] |= _LIBPQ
    return Names(
        {store: _consistent(names, variables) for store, names in found.items()}, overrides
    )


def _store(name: str, queue_reads: frozenset[str], stores: frozenset[str]) -> str | None:
    upper = name.upper()
    if _OTHERS.search(upper):
        return None
    if "queue" in stores and any(
        upper == read or upper.endswith(f"_{read}") for read in queue_reads if "_" in read
    ):
        return "queue"
    for store, words in _STORES.items():
        if words.search(upper):
            return store
    return "database" if _POOL.search(upper) else None


def _consistent(names: Mapping[str, str], variables: Iterable[Variable]) -> dict[str, str]:
    """Drops an optional URL beside its parts: such code makes the URL from the parts."""
    required = {variable.name for variable in variables if variable.required}
    has_parts = {"Host", "Password"} <= set(names.values())
    return {
        name: source
        for name, source in names.items()
        if not (source == "Url" and has_parts and name not in required)
    }
