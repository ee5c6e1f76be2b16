"""Rules between fields, as data: the CRD carries them as CEL, and the command line evaluates them.

Plain CEL only (no Kubernetes extension functions), so that the API server and the evaluator in
``cel.py`` agree.
"""

from dataclasses import dataclass

from fastapi_operator.api.model import fields_of
from fastapi_operator.api.proxy import Proxy


@dataclass(frozen=True)
class Rule:
    """A rule of one section.

    Attributes:
        path: The section, as its camelCase path below the object: ``spec.server``;
            ``spec.background[]`` is each item of a list.
        expression: CEL over ``self``. If it is false or raises an error, the object is refused.
        message: The problem and its remedy.
        field: The field within the section that the message is about.
    """

    path: str
    expression: str
    message: str
    field: str


_EXTERNAL = "(has(self.mode) && self.mode == 'External')"


def _external_requires_secret(path: str, *, managed: tuple[str, ...]) -> tuple[Rule, ...]:
    """Builds the rules of a part that the operator runs, or that is external.

    Args:
        path: The part's section.
        managed: Fields of a part that the operator runs; they exclude ``mode: External``.
    """
    any_managed = " || ".join(f"has(self.{field})" for field in managed)
    return (
        Rule(
            path=path,
            expression=f"{_EXTERNAL} == has(self.secretRef)",
            message="secretRef is required with mode: External, and is not allowed otherwise",
            field="secretRef",
        ),
        Rule(
            path=path,
            expression=f"!{_EXTERNAL} || !({any_managed})",
            message=f"mode: External does not allow {_listed(managed)}, which are for a server "
            "that the operator runs",
            field="mode",
        ),
    )


def _listed(names: tuple[str, ...]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"


def _unique(path: str, items: str, key: str) -> Rule:
    """Builds the rule that no two items of a list have the same key."""
    return Rule(
        path=path,
        expression=f"!has(self.{items}) || self.{items}.all(one, "
        f"self.{items}.exists_one(other, other.{key} == one.{key}))",
        message=f"duplicate {key}: each item of {items} must have its own",
        field=items,
    )


def _has(path: str) -> str:
    """Builds the test whether a field below ``self`` is set; its sections may be absent."""
    names = path.split(".")
    return " && ".join(f"has(self.{'.'.join(names[: n + 1])})" for n in range(len(names)))


def _connects_to(section: str, part: str) -> Rule:
    """Builds the rule that a section of ``spec.connections`` has its part."""
    return Rule(
        path="spec",
        expression=f"!({_has(f'connections.{section}')}) || has(self.{part})",
        message=f"there is no spec.{part} to which the app could connect; add {part}: {{}}, or "
        "remove this section",
        field=f"connections.{section}",
    )


def _default_user_is_managed(section: str) -> Rule:
    """Builds the rule that only a server that the operator runs has a default user to choose."""
    return Rule(
        path="spec",
        expression=f"!({_has(f'connections.{section}.user')}) || !has(self.{section}) || "
        f"!has(self.{section}.mode) || self.{section}.mode != 'External'",
        message=f"user is for a server that the operator runs, and spec.{section} is External: "
        "its Secret has the user",
        field=f"connections.{section}.user",
    )


_DIRECT = _has("connections.database.direct")
_IS_EXTERNAL = f"({_has('postgres.mode')} && self.postgres.mode == 'External')"


def _is_zero(number: str) -> str:
    """Builds the test for zero pods; integers and percentages are compared by their own type."""
    return f"({number} == 0 || {number} == '0%')"


_FIELDS_OF_A_PROXY = tuple(name for name, _ in fields_of(Proxy) if name != "engine")

RULES: tuple[Rule, ...] = (
    Rule(
        path="spec",
        expression="!has(self.args) || has(self.command)",
        message="args requires command; to add arguments to the derived command, use "
        "server.extraArgs",
        field="args",
    ),
    Rule(
        path="spec.server",
        expression="!has(self.workers) || (has(self.workerPolicy) && self.workerPolicy == 'Fixed')",
        message="workers requires workerPolicy: Fixed; with any other policy the number is derived",
        field="workers",
    ),
    Rule(
        path="spec.server",
        expression="!has(self.workerPolicy) || self.workerPolicy != 'Fixed' || has(self.workers)",
        message="workerPolicy: Fixed requires workers",
        field="workerPolicy",
    ),
    Rule(
        path="spec.server",
        expression="!has(self.engine) || self.engine != 'Gunicorn' || !has(self.rootPath)",
        message="rootPath is not supported with engine: Gunicorn; set FastAPI(root_path=...) in "
        "the app, or use another engine",
        field="rootPath",
    ),
    Rule(
        path="spec.server",
        expression="!has(self.engine) || self.engine != 'Granian' || "
        "!has(self.keepAliveSeconds) || self.keepAliveSeconds <= 60",
        message="keepAliveSeconds must be at most 60 with engine: Granian",
        field="keepAliveSeconds",
    ),
    Rule(
        path="spec.server",
        expression="!has(self.engine) || self.engine != 'Granian' || "
        "!has(self.gracefulSeconds) || self.gracefulSeconds <= 1800",
        message="gracefulSeconds must be at most 1800 with engine: Granian",
        field="gracefulSeconds",
    ),
    Rule(
        path="spec.server.probes",
        expression="!has(self.source) || self.source != 'Runtime' || "
        "!(has(self.startup) || has(self.readiness) || has(self.liveness) || has(self.host))",
        message="startup, readiness, liveness and host are for the app, and are not allowed with "
        "source: Runtime, which has its own; remove them",
        field="source",
    ),
    Rule(
        path="spec.scaling",
        expression="!has(self.replicas) || "
        "(!has(self.minReplicas) && !has(self.maxReplicas) && !has(self.targetCpuPercent) && "
        "!has(self.targetInFlight) && !has(self.scaleDownSeconds) && !has(self.engine))",
        message="replicas (which kubectl scale sets) fixes the number of pods, and does not allow "
        "the fields of the autoscaler; remove one or the others; to add pods to an autoscaled "
        "service at once, raise minReplicas",
        field="replicas",
    ),
    Rule(
        path="spec.scaling",
        expression="!has(self.minReplicas) || !has(self.maxReplicas) || "
        "self.minReplicas <= self.maxReplicas",
        message="minReplicas must not exceed maxReplicas",
        field="minReplicas",
    ),
    Rule(
        path="spec.scaling",
        expression="has(self.keda) == (has(self.engine) && self.engine == 'Keda')",
        message="keda is required with engine: Keda, and is not allowed otherwise",
        field="keda",
    ),
    *_external_requires_secret("spec.redis", managed=("engine", "memory", "persistence")),
    *_external_requires_secret(
        "spec.queue", managed=("engine", "memory", "persistence", "deletionPolicy")
    ),
    Rule(
        path="spec.redis",
        expression=f"!has(self.maxClients) || {_EXTERNAL}",
        message="maxClients requires mode: External; if the operator runs the cache, its limit "
        "follows from memory",
        field="maxClients",
    ),
    *_external_requires_secret(
        "spec.postgres",
        managed=("version", "storage", "resources", "backup", "restoreFrom", "deletionPolicy"),
    ),
    Rule(
        path="spec.postgres",
        expression="!has(self.version) || !has(self.mode) || self.mode != 'CloudNativePG'",
        message="version is not allowed with mode: CloudNativePG, which chooses its own version",
        field="version",
    ),
    Rule(
        path="spec.postgres",
        expression=f"{_EXTERNAL} == has(self.maxConnections)",
        message="maxConnections is required with mode: External, since every pool size is derived "
        "from it, and is not allowed otherwise",
        field="maxConnections",
    ),
    Rule(
        path="spec.postgres",
        expression=f"(!has(self.tls) && !has(self.migrationSecretRef)) || {_EXTERNAL}",
        message="tls and migrationSecretRef require mode: External",
        field="mode",
    ),
    Rule(
        path="spec.postgres.tls",
        expression="!has(self.mode) || "
        "has(self.caRef) == (self.mode == 'VerifyCA' || self.mode == 'VerifyFull')",
        message="caRef is required with mode: VerifyCA and VerifyFull, and is not allowed with "
        "other modes",
        field="caRef",
    ),
    Rule(
        path="spec.postgres",
        expression="!has(self.cloudNativePG) || (has(self.mode) && self.mode == 'CloudNativePG')",
        message="cloudNativePG requires mode: CloudNativePG",
        field="cloudNativePG",
    ),
    Rule(
        path="spec.postgres.cloudNativePG",
        expression="!has(self.durability) || self.durability == 'None' || "
        "!has(self.instances) || self.instances > 1",
        message="durability requires at least two instances: a commit waits for a replica",
        field="durability",
    ),
    Rule(
        path="spec.postgres",
        expression="(!has(self.backup) && !has(self.restoreFrom)) || !has(self.mode) || "
        "self.mode != 'CloudNativePG'",
        message="backup and restoreFrom are not allowed with mode: CloudNativePG; set "
        "cloudNativePG.backup",
        field="backup",
    ),
    Rule(
        path="spec.exposure",
        expression="(!has(self.gateway) && !has(self.ingress) && !has(self.tls)) || "
        "has(self.hosts)",
        message="gateway, ingress and tls require hosts",
        field="hosts",
    ),
    Rule(
        path="spec.exposure",
        expression="!has(self.gateway) || !has(self.ingress)",
        message="gateway and ingress exclude each other, since both would serve the same hosts; "
        "remove one",
        field="ingress",
    ),
    *(
        Rule(
            path=path,
            expression="!has(self.secretName) || !has(self.issuer)",
            message="secretName and issuer exclude each other; use secretName for an existing "
            "certificate, or issuer for a new one",
            field="issuer",
        )
        for path in ("spec.exposure.tls", "spec.exposure.entries[].tls")
    ),
    _unique("spec.exposure", "entries", "name"),
    Rule(
        path="spec.exposure.entries[]",
        expression="has(self.hosts) == (has(self.gateway) || has(self.ingress)) && "
        "(!has(self.tls) || has(self.hosts))",
        message="hosts is required with gateway, ingress and tls, and requires one of gateway and "
        "ingress, which route the hosts to the service",
        field="hosts",
    ),
    Rule(
        path="spec.exposure.entries[]",
        expression="!has(self.gateway) || !has(self.ingress)",
        message="gateway and ingress exclude each other; use an entry for each",
        field="ingress",
    ),
    Rule(
        path="spec.rollout",
        expression=f"!has(self.maxSurge) || !{_is_zero('self.maxSurge')} || "
        f"(has(self.maxUnavailable) && !{_is_zero('self.maxUnavailable')})",
        message="maxSurge: 0 requires maxUnavailable to be at least 1, since a rollout cannot "
        "replace a pod otherwise",
        field="maxSurge",
    ),
    Rule(
        path="spec.rollout.canary.stickiness",
        expression="has(self.header) == (has(self.mode) && self.mode == 'Header')",
        message="header is required with mode: Header, and is not allowed otherwise",
        field="header",
    ),
    Rule(
        path="spec.availability.disruptionBudget",
        expression=f"!has(self.maxUnavailable) || !{_is_zero('self.maxUnavailable')}",
        message="maxUnavailable must be at least 1, since 0 would block every drain of a node",
        field="maxUnavailable",
    ),
    Rule(
        path="spec.network",
        expression="!has(self.egressTo) || (has(self.egress) && self.egress == 'Restricted')",
        message="egressTo requires egress: Restricted",
        field="egressTo",
    ),
    Rule(
        path="spec.serviceAccount",
        expression="!has(self.name) || !has(self.annotations)",
        message="annotations are not allowed with name, which is an existing account; annotate "
        "that account, or remove name",
        field="annotations",
    ),
    Rule(
        path="spec.proxy",
        expression="!has(self.engine) || self.engine != 'None' || !("
        + " || ".join(f"has(self.{field})" for field in _FIELDS_OF_A_PROXY)
        + ")",
        message="other proxy fields are not allowed with engine: None",
        field="engine",
    ),
    _unique("spec.proxy", "static", "path"),
    _unique("spec.proxy.cache", "routes", "path"),
    _unique("spec.proxy.headers", "add", "name"),
    _unique("spec", "background", "name"),
    _unique("spec", "schedules", "name"),
    Rule(
        path="spec",
        expression="!has(self.background) || !has(self.schedules) || self.background.all(one, "
        "!self.schedules.exists(other, other.name == one.name))",
        message="duplicate name: background and schedules must not share a name",
        field="background",
    ),
    Rule(
        path="spec.background[]",
        expression="!has(self.scaling) || !has(self.replicas)",
        message="replicas is a fixed number, so scaling is not allowed",
        field="scaling",
    ),
    Rule(
        path="spec.background[]",
        expression="!has(self.scaling) || !has(self.singleton) || !self.singleton",
        message="a singleton has one pod, so scaling is not allowed",
        field="scaling",
    ),
    Rule(
        path="spec.background[].scaling",
        expression="!has(self.minReplicas) || self.minReplicas <= "
        "(has(self.maxReplicas) ? self.maxReplicas : 1)",
        message="minReplicas must not be greater than maxReplicas, which is 1 by default",
        field="minReplicas",
    ),
    Rule(
        path="spec",
        expression="!has(self.background) || !self.background.exists(one, has(one.scaling)) || "
        "(has(self.queue) && (!has(self.queue.mode) || self.queue.mode == 'Managed'))",
        message="scaling of a background process reads the tasks of a managed queue; add queue: {}",
        field="background",
    ),
    Rule(
        path="spec.background[]",
        expression="!has(self.singleton) || !self.singleton || !has(self.replicas) || "
        "self.replicas <= 1",
        message="replicas must be at most 1 with singleton: true",
        field="replicas",
    ),
    Rule(
        path="spec",
        expression="!has(self.command) || !has(self.server) || !has(self.server.extraArgs)",
        message="command replaces the server's command line, so server.extraArgs is not allowed; "
        "use args",
        field="command",
    ),
    Rule(
        path="spec.postgres.pooler",
        expression="!has(self.engine) || self.engine != 'None' || !has(self.instances)",
        message="instances is not allowed with engine: None",
        field="instances",
    ),
    Rule(
        path="spec.observability.slo",
        expression="!has(self.latencyPercent) || has(self.latencyMilliseconds)",
        message="latencyPercent requires latencyMilliseconds",
        field="latencyPercent",
    ),
    Rule(
        path="spec.observability.slo",
        expression="!has(self.availabilityPercent) || self.availabilityPercent != '100'",
        message="availabilityPercent must be below 100, since 100 leaves no error budget; use for "
        "example 99.999",
        field="availabilityPercent",
    ),
    Rule(
        path="spec.observability.slo",
        expression="!has(self.latencyPercent) || self.latencyPercent != '100'",
        message="latencyPercent must be below 100, since 100 leaves no error budget; use for "
        "example 99.9",
        field="latencyPercent",
    ),
    Rule(
        path="spec.network",
        expression="!has(self.policies) || self.policies != 'Disabled' || "
        "(!has(self.egress) && !has(self.egressTo) && !has(self.ingressFrom))",
        message="egress, egressTo and ingressFrom are not allowed with policies: Disabled",
        field="policies",
    ),
    _connects_to("database", "postgres"),
    _connects_to("redis", "redis"),
    _connects_to("queue", "queue"),
    _default_user_is_managed("redis"),
    _default_user_is_managed("queue"),
    Rule(
        path="spec.connections.database",
        expression="!has(self.env) || has(self.direct) || "
        "self.env.all(name, self.env[name] != 'DirectUrl')",
        message="DirectUrl requires direct, which reserves connections past the pooler; set "
        "for example direct: {maxConnections: 4}",
        field="env",
    ),
    Rule(
        path="spec",
        expression=f"!({_DIRECT}) || !({_has('postgres.mode')}) || "
        "self.postgres.mode != 'CloudNativePG'",
        message="direct is not allowed with mode: CloudNativePG, whose only role owns the schema; "
        "use mode: External with a role that does not",
        field="connections.database.direct",
    ),
    Rule(
        path="spec",
        expression=f"!({_DIRECT}) || {_IS_EXTERNAL} || (!has(self.connections.database.direct.host)"
        " && !has(self.connections.database.direct.port))",
        message="host and port require postgres.mode: External; the operator knows the address of "
        "a database that it runs",
        field="connections.database.direct",
    ),
    Rule(
        path="spec",
        expression=f"!({_DIRECT}) || !{_IS_EXTERNAL} || !({_has('postgres.pooler.engine')}) || "
        "self.postgres.pooler.engine != 'None' || has(self.connections.database.direct.host)",
        message="without a pooler of the operator, DATABASE_URL already is direct; if the host in "
        "secretRef is that of another pooler, set host to that of the database itself, else "
        "remove direct",
        field="connections.database.direct",
    ),
)
