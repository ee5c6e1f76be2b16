"""PostgreSQL: credentials and a volume that are retained, and one pod."""

from typing import Any

from fastapi_operator import naming
from fastapi_operator.api.postgres import Postgres, RestoreFrom
from fastapi_operator.api.storage import Storage
from fastapi_operator.parts import Part
from fastapi_operator.resources import exporters, objects, pod
from fastapi_operator.resources.connections import direct_section
from fastapi_operator.resources.desired import Desired, Generated
from fastapi_operator.resources.inputs import (
    ALTERNATE_ROLE,
    APP_ROLE,
    APP_ROLES,
    DATABASE,
    MIGRATOR_ROLE,
    MONITOR_ROLE,
    Inputs,
)
from fastapi_operator.resources.templates import render
from fastapi_operator.tuning import figures
from fastapi_operator.tuning.amounts import amounts
from fastapi_operator.tuning.database import is_pooled
from fastapi_operator.tuning.plan import PostgresPlan

_CONFIG = "config"
_DATA = "data"
_SHARED_MEMORY = "shared-memory"
_RESTORE = "restore"
_MOUNTS = {
    _CONFIG: "/etc/postgresql",
    _DATA: "/var/lib/postgresql",
    pod.RUN: "/run/postgresql",
    _SHARED_MEMORY: "/dev/shm",  # noqa: S108 (the path that PostgreSQL uses)
}
_DUMPS_DIRECTORY = "/dumps"
# The directory of PostgreSQL's socket.
RUN_DIRECTORY = _MOUNTS[pod.RUN]
# The directories of PostgreSQL, as its templates name them.
_DIRECTORIES = {
    "config_directory": _MOUNTS[_CONFIG],
    "data_directory": _MOUNTS[_DATA],
    "run_directory": RUN_DIRECTORY,
}

_ROLES = (*APP_ROLES, MIGRATOR_ROLE, MONITOR_ROLE)

# Settings that are the same in every PostgreSQL, whichever operator runs it.
FIXED_SETTINGS = {
    # Solid-state storage.
    "random_page_cost": "1.1",
    "effective_io_concurrency": "200",
    # Compilation pays off for queries that take seconds, which a web service does not run.
    "jit": "off",
    "wal_compression": "lz4",
    "pg_stat_statements.track": "top",
}

# PgBouncer's list of the roles that can connect through it.
USER_LIST = "userlist.txt"


def build(inputs: Inputs) -> tuple[Desired, ...]:
    """Builds the objects of a managed database; none in another mode."""
    plan, postgres = inputs.plan.postgres, inputs.spec.postgres
    if plan is None or postgres is None or not inputs.runs_database:
        return ()
    name = inputs.name_of(Part.DATABASE)
    retain = postgres.deletion_policy != "Delete"
    restarts = objects.hashed_config_map(
        inputs, Part.DATABASE, name, _files_of_a_start(inputs, plan)
    )
    return (
        objects.generated_secret(
            inputs, Part.DATABASE, name, app_credentials(MIGRATOR_ROLE), retain=retain
        ),
        _claim(inputs, plan, postgres.storage or Storage(), retain=retain),
        restarts,
        objects.config_map(inputs, Part.DATABASE, name, _files_of_a_reload(inputs, plan)),
        objects.service(inputs, Part.DATABASE, name),
        _stateful_set(inputs, plan, postgres, name, restarts.key.name),
    )


def app_credentials(*others: str) -> Generated:
    """Returns passwords of the app, the exporters and other roles, and PgBouncer's user list."""
    users = (*APP_ROLES, MONITOR_ROLE)
    return Generated(
        passwords=(*users, *others),
        templates={USER_LIST: "".join(f'"{user}" "{{{user}}}"\n' for user in users)},
        alternating=APP_ROLES,
    )


def _restore_script(restore: RestoreFrom | None) -> dict[str, str]:
    if restore is None:
        return {}
    script = render(
        "postgres-restore.sh.j2",
        database=DATABASE,
        claim=restore.claim,
        file=restore.file,
        dumps_directory=_DUMPS_DIRECTORY,
        **_DIRECTORIES,
    )
    return {"restore.sh": script}


def _files_of_a_start(inputs: Inputs, plan: PostgresPlan) -> dict[str, str]:
    restore = inputs.spec.postgres.restore_from if inputs.spec.postgres else None
    granted = inputs.plan.database
    assert granted is not None, "a managed PostgreSQL grants connections"
    return {
        "postgresql.conf": render(
            "postgresql.conf.j2",
            name=inputs.name,
            port=Part.DATABASE.port,
            max_connections=granted.max_connections.value,
            superuser_reserved=figures.SUPERUSER_RESERVED,
            shared_buffers_bytes=plan.shared_buffers_bytes.value,
            worker_processes=plan.worker_processes.value,
            **_DIRECTORIES,
        ),
        "start.sh": render("postgres-start.sh.j2", restores=restore is not None, **_DIRECTORIES),
        **_restore_script(restore),
        # initdb fails if its user has no name, and images do not have the operator's user.
        **_passwd(inputs.settings.run_as_user),
    }


def _files_of_a_reload(inputs: Inputs, plan: PostgresPlan) -> dict[str, str]:
    granted, postgres = inputs.plan.database, inputs.spec.postgres
    assert granted is not None, "a managed PostgreSQL grants connections"
    roles = {
        "database": DATABASE,
        "app": APP_ROLE,
        "alternate": ALTERNATE_ROLE,
        "migrator": MIGRATOR_ROLE,
        "monitor": MONITOR_ROLE,
    }
    return {
        "reloadable.conf": render(
            "postgresql-reloadable.conf.j2",
            name=inputs.name,
            effective_cache_size_bytes=plan.effective_cache_size_bytes.value,
            maintenance_work_mem_bytes=plan.maintenance_work_mem_bytes.value,
            work_mem_bytes=plan.work_mem_bytes.value,
            max_wal_size_bytes=plan.max_wal_size_bytes.value,
            min_wal_size_bytes=plan.min_wal_size_bytes.value,
            worker_processes=plan.worker_processes.value,
            parallel_workers_per_gather=plan.parallel_workers_per_gather.value,
            fixed=FIXED_SETTINGS,
        ),
        "pg_hba.conf": render("pg_hba.conf.j2", **roles),
        "bootstrap.sql": render(
            "postgres-bootstrap.sql.j2",
            **roles,
            **_DIRECTORIES,
            migrates=postgres is not None and postgres.migrations is not None,
            statement_timeout_seconds=granted.statement_timeout_seconds.value,
            monitor_timeout_seconds=figures.SCRAPE_TIMEOUT_SECONDS,
            idle_in_transaction_seconds=granted.idle_in_transaction_seconds.value,
        ),
    }


def _passwd(user: int | None) -> dict[str, str]:
    if user is None:
        return {}
    return {"passwd": f"postgres:x:{user}:{user}:PostgreSQL:{_MOUNTS[_DATA]}:/bin/sh\n"}


def _claim(inputs: Inputs, plan: PostgresPlan, storage: Storage, *, retain: bool) -> Desired:
    return objects.volume_claim(
        inputs,
        Part.DATABASE,
        inputs.name_of(Part.DATABASE, "data"),
        size=plan.storage_bytes,
        storage_class=storage.class_name,
        retain=retain,
    )


def _stateful_set(
    inputs: Inputs, plan: PostgresPlan, postgres: Postgres, name: str, restarts: str
) -> Desired:
    own = inputs.plan.postgres_pod
    assert own is not None, "a managed PostgreSQL has a pod"
    template = pod.pod_template(
        inputs,
        Part.DATABASE,
        sidecars=(_reloader(inputs), *exporters.postgres(inputs, name)),
        containers=(_container(inputs, plan, postgres),),
        volumes=(
            pod.files_volume(
                _CONFIG,
                config_maps=(restarts, name),
                secret=name,
                items={role: f"passwords/{role}" for role in _ROLES},
            ),
            pod.run_volume(),
            pod.scratch_volume(_SHARED_MEMORY, own.shared_memory_bytes.value, memory=True),
            _claimed(_DATA, inputs.name_of(Part.DATABASE, "data")),
            *((_claimed(_RESTORE, postgres.restore_from.claim),) if postgres.restore_from else ()),
        ),
        grace_seconds=own.grace_seconds.value,
    )
    return Desired(
        Part.DATABASE,
        {
            "apiVersion": "apps/v1",
            "kind": "StatefulSet",
            "metadata": objects.metadata(inputs, Part.DATABASE, name),
            "spec": {
                "replicas": 1,
                "serviceName": name,
                # A pod that never became ready must not block the update that fixes it.
                "podManagementPolicy": "Parallel",
                "revisionHistoryLimit": figures.REVISIONS_KEPT,
                "selector": {"matchLabels": naming.selector(inputs.name, Part.DATABASE)},
                "template": template,
            },
        },
        requested_hash=_requested_hash(inputs, postgres),
    )


def _claimed(volume: str, claim: str) -> dict[str, Any]:
    return {"name": volume, "persistentVolumeClaim": {"claimName": claim}}


def _requested_hash(inputs: Inputs, postgres: Postgres) -> str:
    """A hash of the fields about the database itself; if it changes, no approval is needed."""
    requested = postgres.model_dump(
        mode="json", exclude={"pooler", "migrations", "backup"}, exclude_none=True
    )
    if not is_pooled(postgres):
        requested["pooler"] = "None"
    direct = direct_section(inputs.spec)
    if direct is not None:
        requested["directConnections"] = direct.max_connections
    if own := inputs.settings_of(Part.DATABASE).model_dump(mode="json", exclude_none=True):
        requested["parts"] = own
    return naming.content_hash(requested)


def _container(inputs: Inputs, plan: PostgresPlan, postgres: Postgres) -> dict[str, Any]:
    # Over TCP, because the server that start.sh runs first listens on no port. As a role that can
    # connect, because PostgreSQL logs each refused connection. pg_isready needs no password.
    address = (
        "-h",
        "127.0.0.1",
        "-p",
        str(Part.DATABASE.port),
        "-U",
        APP_ROLE,
        "-d",
        DATABASE,
    )
    is_ready = ("pg_isready", "-q", *address)
    ready = {"exec": {"command": list(is_ready)}}
    # Status 1 is success too: a server that recovers from a crash must not be killed.
    alive = {"exec": {"command": ["sh", "-c", f"{' '.join(is_ready)} || [ $? -eq 1 ]"]}}
    given = amounts(postgres.resources)
    mounts: list[dict[str, Any]] = []
    if inputs.settings.run_as_user is not None:
        mounts.append({"name": _CONFIG, "mountPath": "/etc/passwd", "subPath": "passwd"})
    start_seconds = figures.DATABASE_START_SECONDS
    if postgres.restore_from is not None:
        mounts.append({"name": _RESTORE, "mountPath": _DUMPS_DIRECTORY, "readOnly": True})
        start_seconds = figures.RESTORE_START_SECONDS
    return pod.container(
        Part.DATABASE.record.container,
        image=inputs.settings.images.postgres.reference,
        pull_policy=inputs.settings.image_pull_policy,
        command=("sh", f"{_MOUNTS[_CONFIG]}/start.sh"),
        ports=pod.container_ports(Part.DATABASE.record.ports),
        **pod.probes(
            startup=ready,
            readiness=ready,
            liveness=alive,
            start_attempts=start_seconds // figures.START_PERIOD_SECONDS,
        ),
        resources=pod.resources(
            cpu_request=given.cpu_request or plan.cpu_millicores.value,
            cpu_limit=given.cpu_limit or 0,
            memory_request=given.memory_request or plan.memory_bytes.value,
            memory_limit=plan.memory_bytes.value,
        ),
        mounts=_MOUNTS,
        extra_mounts=mounts,
    )


def _reloader(inputs: Inputs) -> dict[str, Any]:
    script = render(
        "postgres-reload.sh.j2",
        interval_seconds=figures.RELOADER_INTERVAL_SECONDS,
        **_DIRECTORIES,
    )
    return pod.reloader(
        image=inputs.settings.images.postgres.reference,
        pull_policy=inputs.settings.image_pull_policy,
        script=script,
        mounts={_CONFIG: _MOUNTS[_CONFIG], pod.RUN: _MOUNTS[pod.RUN]},
    )
