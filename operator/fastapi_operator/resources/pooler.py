"""PgBouncer between the app and the database.

Its configuration waits for the migration, as the app does. ``connect_query`` contains the key of
the migration. If it changes, PgBouncer replaces every server connection, so that none keeps a query
plan of the old schema.
"""

from typing import Any

from fastapi_operator.parts import Part
from fastapi_operator.resources import exporters, objects, pod
from fastapi_operator.resources.access import CA_FILE, Access, access, authority_sources
from fastapi_operator.resources.database import USER_LIST, app_credentials
from fastapi_operator.resources.desired import Desired, Gate
from fastapi_operator.resources.inputs import (
    DATABASE,
    MONITOR_ROLE,
    Inputs,
)
from fastapi_operator.resources.migration import migration_key
from fastapi_operator.resources.templates import render
from fastapi_operator.tuning import figures
from fastapi_operator.tuning.plan import DatabasePlan, PoolerPlan

_CONFIG = "config"
_MOUNTS = {_CONFIG: "/etc/pgbouncer", pod.RUN: "/run/pgbouncer"}
# Names that every template of PgBouncer uses.
_NAMES = {
    "config_directory": _MOUNTS[_CONFIG],
    "run_directory": _MOUNTS[pod.RUN],
    "port": Part.POOLER.port,
    "user_list": USER_LIST,
}


def build(inputs: Inputs) -> tuple[Desired, ...]:
    """Builds the objects of the pooler; none without ``spec.postgres``."""
    plan, database = inputs.plan.pooler, inputs.plan.database
    if plan is None or database is None:
        return ()
    name = inputs.name_of(Part.POOLER)
    external = access(inputs)
    files = _files(inputs, plan, external)
    built = [
        *_own_credentials(inputs, name, external),
        objects.config_map(inputs, Part.POOLER, name, files, gate=Gate.MIGRATED),
        objects.service(inputs, Part.POOLER, name),
        _deployment(inputs, plan, database, name),
    ]
    if plan.instances.value > 1:
        built.append(objects.disruption_budget(inputs, Part.POOLER, name))
    return tuple(built)


def _own_credentials(inputs: Inputs, name: str, external: Access | None) -> tuple[Desired, ...]:
    """The app's credentials for the pooler, if the database is external."""
    if external is None:
        return ()
    return (objects.generated_secret(inputs, Part.POOLER, name, app_credentials()),)


def _files(inputs: Inputs, plan: PoolerPlan, external: Access | None) -> dict[str, str]:
    files = {"pgbouncer.ini": _pgbouncer_ini(inputs, plan, external)}
    if external is not None:
        files["database.sh"] = render(
            "pgbouncer-database.sh.j2",
            database=DATABASE,
            secret=external.secret,
            keys=external.keys,
            server_port=external.port,
            connect_query=_connect_query(inputs, external),
            **_NAMES,
        )
    return files


def _connect_query(inputs: Inputs, external: Access) -> str:
    migration = migration_key(inputs.service)
    return " ".join(filter(None, (external.session, migration and f"/* migration {migration} */")))


def _pgbouncer_ini(inputs: Inputs, plan: PoolerPlan, external: Access | None) -> str:
    return render(
        "pgbouncer.ini.j2",
        name=inputs.name,
        secret=external and external.secret,
        ssl_mode=external and external.ssl_mode,
        authority=external and external.authority and CA_FILE,
        database=DATABASE,
        host=inputs.name_of(Part.DATABASE),
        host_port=Part.DATABASE.port,
        monitor=MONITOR_ROLE,
        migration=migration_key(inputs.service),
        max_client_connections=plan.max_client_connections.value,
        max_db_connections=plan.max_db_connections.value,
        default_pool_size=plan.default_pool_size.value,
        min_pool_size=plan.min_pool_size.value,
        reserve_pool_size=plan.reserve_pool_size.value,
        reserve_pool_timeout_seconds=plan.reserve_timeout_seconds.value,
        connect_timeout_seconds=plan.connect_timeout_seconds.value,
        server_idle_seconds=plan.server_idle_seconds.value,
        server_lifetime_seconds=plan.server_lifetime_seconds.value,
        query_wait_timeout_seconds=plan.query_wait_timeout_seconds.value,
        max_prepared_statements=plan.max_prepared_statements.value,
        **_NAMES,
    )


def _start_script(external: Access | None) -> str:
    return render("pgbouncer-start.sh.j2", writes_database=external is not None, **_NAMES)


def _database_files(external: Access) -> list[dict[str, Any]]:
    items = [{"key": key, "path": f"database/{name}"} for name, key in external.keys.items()]
    # Optional, so that the start script can report a missing key.
    credentials = {"secret": {"name": external.secret, "optional": True, "items": items}}
    return [credentials, *authority_sources(external)]


def _deployment(inputs: Inputs, plan: PoolerPlan, database: DatabasePlan, name: str) -> Desired:
    image = inputs.settings.images.pgbouncer.reference
    pull_policy = inputs.settings.image_pull_policy
    pre_stop = inputs.plan.server.pre_stop_seconds.value
    statement = database.statement_timeout_seconds.value
    external = access(inputs)
    listens = {"tcpSocket": {"port": Part.POOLER.record.port_name}}
    pgbouncer = pod.container(
        Part.POOLER.record.container,
        image=image,
        pull_policy=pull_policy,
        command=("sh", "-c", _start_script(external)),
        ports=pod.container_ports(Part.POOLER.record.ports),
        **pod.probes(startup=listens, readiness=listens, liveness=listens),
        **pod.sleep_before_stop(pre_stop),
        resources=pod.resources(
            cpu_request=plan.cpu_request_millicores.value,
            memory_request=plan.memory_limit_bytes.value,
            memory_limit=plan.memory_limit_bytes.value,
        ),
        mounts=_MOUNTS,
    )
    script = render(
        "pgbouncer-reload.sh.j2",
        writes_database=external is not None,
        interval_seconds=figures.RELOADER_INTERVAL_SECONDS,
        **_NAMES,
    )
    template = pod.pod_template(
        inputs,
        Part.POOLER,
        sidecars=(
            pod.reloader(image=image, pull_policy=pull_policy, script=script, mounts=_MOUNTS),
            *exporters.pgbouncer(inputs, name if external else inputs.name_of(Part.DATABASE)),
        ),
        containers=(pgbouncer,),
        volumes=(
            pod.files_volume(
                _CONFIG,
                config_maps=(name,),
                secret=name if external else inputs.name_of(Part.DATABASE),
                items={USER_LIST: USER_LIST},
                sources=_database_files(external) if external else (),
            ),
            pod.run_volume(memory=external is not None),
        ),
        grace_seconds=pre_stop + statement + figures.GRACE_MARGIN_SECONDS,
        spread=True,
    )
    is_single = plan.instances.value == 1
    return objects.deployment(
        inputs,
        Part.POOLER,
        name,
        template,
        replicas=plan.instances.value,
        # Beside several pods, an additional one would open connections beyond the budget.
        max_surge=1 if is_single else 0,
        max_unavailable=0 if is_single else 1,
        gate=Gate.MIGRATED,
    )
