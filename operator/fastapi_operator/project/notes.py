"""What a person must know or do before a project runs as the written service."""

import ast
import re
from collections.abc import Iterator

from fastapi_operator.project import data, health, tables
from fastapi_operator.project.image import dockerfiles
from fastapi_operator.project.needs import Needs
from fastapi_operator.project.source import Module, Project

_STORE_NAMES = {"database": "PostgreSQL", "redis": "the cache", "queue": "the queue"}
_STORE_URLS = {"database": "DATABASE_URL", "redis": "REDIS_URL", "queue": "QUEUE_URL"}
_HOOK = re.compile(
    r"(on_starting|on_exit|when_ready|pre_fork|post_fork|post_worker_init|worker_exit|child_exit)"
)
# A copy of the whole directory, and a virtual environment that any user can read.
_COPIES_ALL = re.compile(r"(?mi)^\s*(COPY|ADD)\s+(--(?!from)\S+\s+)*\.\/?\s")
_OWN_URL = re.compile(
    r"set_(main|section)_option|environ|getenv|settings|_(URL|URI|DSN)\b|url=(?!config\.get_main)"
    r"|create_(async_)?engine\(|import (?!.*engine_from_config).*engine\b|get_url"
)
_READABLE = re.compile(r"virtualenvs\.create false|--system|VIRTUALENVS_CREATE[= ]false")


def notes(project: Project, needs: Needs) -> tuple[str, ...]:
    """Returns one sentence for each thing to know, the most urgent first."""
    return (
        *_values(needs),
        *_connections(needs),
        *_tables(project, needs),
        *_stores(project, needs),
        *_image(project, needs),
        *_start(project, needs),
        *_hooks(project),
        *_sockets(project, needs),
        *_beside(project, needs),
    )


def _values(needs: Needs) -> Iterator[str]:
    unknown = [variable for variable in needs.required if not variable.example]
    if unknown:
        yield (
            f"create the Secret: kubectl create secret generic {needs.name.value}-secrets "
            + " ".join(f"--from-literal={variable.name}=…" for variable in unknown)
        )
    plain = [variable.name for variable in unknown if not variable.secret]
    if plain:
        yield (
            f"if the values of {', '.join(plain)} are not secret, you can write them in env "
            "instead: the code has no default"
        )
    published: dict[str, list[str]] = {}
    for variable in needs.required:
        if variable.example:
            published.setdefault(variable.example_source, []).append(variable.name)
    for source, names in published.items():
        yield f"check the values of {', '.join(names)} in env, which are from {source}"
    public = [variable.name for variable in needs.required if variable.is_public]
    if public:
        yield f"the code has defaults of {', '.join(public)}, which everybody can read"
    for variable in needs.required:
        if variable.random:
            yield (
                f"{variable.name} has another random default in each process ({variable.source}): "
                "what one process signs, the others reject"
            )


def _connections(needs: Needs) -> Iterator[str]:
    needed = {"database": needs.database, "redis": needs.redis, "queue": needs.queue}
    for store, url in _STORE_URLS.items():
        if needed[store] is None:
            continue
        if not needs.names.finds(store):
            yield _unread(needs, store)
        elif store != "database" and not needs.names.reads(store, "Password", "Url"):
            yield (
                f"the code reads a host of {_STORE_NAMES[store]} but no password, and the server "
                f"requires one: let the code read a password too, or {url}"
            )
    direct = needs.database and needs.database.direct
    if direct and not needs.names.reads("database", "DirectUrl"):
        yield f"{direct}, which fails through the pooler: use DATABASE_DIRECT_URL there"
    if direct:
        yield (
            "count the connections past the pooler, also during a rollout, in "
            "connections.database.direct.maxConnections"
        )


def _unread(needs: Needs, store: str) -> str:
    url = _STORE_URLS[store]
    own = sorted(variable.name for variable in needs.optional + needs.required)
    similar = ", ".join(name for name in own if url.partition("_")[0] in name.upper())
    return (
        f"this code does not read {url}, and no variable with the address of {_STORE_NAMES[store]} "
        f"was found{f' (but {similar})' if similar else ''}: map the names that it reads in "
        f"connections.{store}.env, or let the code read {url}"
    )


def _tables(project: Project, needs: Needs) -> Iterator[str]:
    if needs.database is None:
        return
    creates = tables.creates_tables(project)
    unused = tables.migration(project, needs.image, needs.processes)
    if creates and needs.migration is None and needs.image and unused:
        yield (
            f"{needs.image.path} does not copy {unused.missing} into its last stage, so no "
            f"migration runs, and the app creates missing tables at start ({creates}): to change "
            "a table, copy it there with its directory and set postgres.migrations"
        )
    elif creates and needs.migration is None:
        yield (
            f"the app creates missing tables at start ({creates}), but never changes one: add "
            "migrations, for example with Alembic, before the first change of a table"
        )
    elif creates and needs.migration:
        yield (
            f"{creates} runs at start, but with migrations the app may not create tables: "
            f"{needs.migration.source} must create all of them"
        )
    elif needs.migration is None:
        yield (
            "no migration was found: if the app does not create its tables at start, set "
            "postgres.migrations.command"
        )
    environment = next((m for m in project.modules if m.path.endswith("/env.py")), None)
    if environment and needs.migration and not _has_own_url(environment):
        yield (
            f"{environment.path} takes the database from alembic.ini: set it there with "
            'config.set_main_option("sqlalchemy.url", os.environ["DATABASE_URL"])'
        )


def _has_own_url(module: Module) -> bool:
    """Whether Alembic's env.py sets the URL, or makes the engine with one of the app."""
    return bool(_OWN_URL.search(ast.unparse(module.tree)))


def _stores(project: Project, needs: Needs) -> Iterator[str]:
    for store, source in data.other_stores(project):
        if store != "SQLite":
            yield (
                f"{store} ({source}) is not part of a service: run it elsewhere, set its address "
                "in env, and admit it in network.egress"
            )
        elif needs.database is None:
            yield (
                f"SQLite ({source}) writes to a read-only file system and is lost with its pod: "
                "use PostgreSQL (postgres: {}), or a volume and one replica"
            )


def _image(project: Project, needs: Needs) -> Iterator[str]:
    image = needs.image
    if image is None:
        if needs.packaging.indexes:
            yield (
                f"packages come from {', '.join(needs.packaging.indexes)}: give their login to the "
                "build with --secret id=netrc,src=$HOME/.netrc"
            )
        return
    ignores = (".dockerignore", f"{image.path}.dockerignore")
    ignored = any((project.root / name).exists() for name in ignores)
    if _COPIES_ALL.search(image.text) and not ignored:
        yield (
            f"{image.path} copies the whole directory and there is no .dockerignore: .git, .env "
            "and .venv become part of the image; exclude them"
        )
    if needs.migration and needs.migration.missing:
        yield (
            f"{image.path} does not copy {needs.migration.missing} into its last stage: copy it "
            "there with its directory, for the migration"
        )
    found = any(name == "PATH" for name, _ in needs.environment)
    on_path = "venv" in image.environment.get("PATH", "") or _READABLE.search(image.text)
    if image.manager and not found and not on_path:
        yield (
            f"{image.manager} in {image.path} installs into a virtual environment that is not on "
            "PATH: add RUN python -m venv /opt/venv and ENV VIRTUAL_ENV=/opt/venv "
            "PATH=/opt/venv/bin:$PATH before it"
        )


def _start(project: Project, needs: Needs) -> Iterator[str]:
    """Yields what the image does at start, and the operator does not."""
    image = needs.image
    if image is None:
        return
    if image.scripts:
        migrated = " ".join(needs.migration.command) if needs.migration else ""
        lost = [
            step.text
            for step in image.processes
            if step.source in image.scripts and step.is_own_code and step.text not in migrated
        ]
        also = f"; nothing runs {', '.join(lost)} now" if lost else ""
        yield (
            f"the operator starts the server and the migration itself, without "
            f"{' and '.join(image.scripts)}{also}"
        )
    programs = {worker.command[0] for worker in needs.workers}
    for other in dockerfiles(project.root, project.above)[1:]:
        if any(process.program in programs for process in other.processes):
            yield (
                f"{other.path} builds another image, but background processes run in spec.image: "
                "install what they need there too"
            )


def _hooks(project: Project) -> Iterator[str]:
    for module in project.modules:
        if module.path.rpartition("/")[2] in ("gunicorn.conf.py", "gunicorn_conf.py"):
            hooks = [name for name in module.definitions if _HOOK.fullmatch(name)]
            if hooks:
                yield (
                    f"{module.path} is not read, so {', '.join(hooks)} does not run: if the app "
                    f"needs it, set server.engine: Gunicorn and server.extraArgs: [-c, "
                    f"{module.path}]"
                )


def _beside(project: Project, needs: Needs) -> Iterator[str]:
    """Yields what else is in the project, or refuses the probes of the kubelet."""
    page = next((module for module in project.modules if "streamlit" in module.packages), None)
    if page is not None:
        yield (
            f"{page.path} is a page of Streamlit, a server of its own that is not part of this "
            "service: deploy it with an image of its own"
        )
    hosts = health.trusted_hosts(project)
    if hosts and needs.probes is None:
        yield (
            f"TrustedHostMiddleware ({hosts}) refuses a probe of the kubelet, whose host is the "
            "address of the pod, so the probes only connect; with server.probes.source: Runtime "
            "they do not pass the middleware"
        )


def _sockets(project: Project, needs: Needs) -> Iterator[str]:
    module = data.sockets(project)
    if module is None:
        return
    # A Dockerfile that init writes installs it.
    image = needs.image.text if needs.image else "uvicorn[standard]"
    if "websockets" in needs.additions and "uvicorn[standard]" not in image:
        yield (
            f"{module.path} serves WebSockets, which uvicorn cannot do alone: install "
            "uvicorn[standard] or websockets"
        )
    if needs.redis is None and _keeps_connections(project):
        yield (
            "WebSocket connections are kept in the memory of one process, so clients of different "
            "pods do not reach each other: publish messages through redis: {}, or set "
            "scaling.replicas: 1"
        )


def _keeps_connections(project: Project) -> bool:
    return any(
        isinstance(node, ast.Attribute) and node.attr in ("active_connections", "connections")
        for module in project.code
        for node in ast.walk(module.tree)
    )
