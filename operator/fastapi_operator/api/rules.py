"""Rules between fields, as data: the CRD carries them as CEL, the command line evaluates the same.

Plain CEL only (no Kubernetes extension functions), so that the API server and the evaluator in
``cel.py`` cannot disagree.
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
        expression: CEL over ``self``; false or an error refuses the object.
        message: What is wrong and what to write.
        field: The field within the section that the message is about.
    """

    path: str
    expression: str
    message: str
    field: str


_EXTERNAL = "(has(self.mode) && self.mode == 'External')"


def _external_needs_a_secret(path: str, *, managed: tuple[str, ...]) -> tuple[Rule, ...]:
    """A section that is run here, or reached by a Secret; the fields of one exclude the other."""
    given = " || ".join(f"has(self.{field})" for field in managed)
    return (
        Rule(
            path=path,
            expression=f"{_EXTERNAL} == has(self.secretRef)",
            message="secretRef goes with mode: External, which needs it",
            field="secretRef",
        ),
        Rule(
            path=path,
            expression=f"!{_EXTERNAL} || !({given})",
            message=f"with mode: External the operator runs nothing; remove {', '.join(managed)}",
            field="mode",
        ),
    )


def _unique(path: str, items: str, key: str, *, message: str) -> Rule:
    """No two items of a list have one key."""
    return Rule(
        path=path,
        expression=f"!has(self.{items}) || self.{items}.all(one, "
        f"self.{items}.exists_one(other, other.{key} == one.{key}))",
        message=message,
        field=items,
    )


def _is_zero(number: str) -> str:
    """Of a number of pods or their share; the two are compared apart, being of two types."""
    return f"({number} == 0 || {number} == '0%')"


# What speaks of a proxy that is there.
_OF_A_PROXY = tuple(name for name, _ in fields_of(Proxy) if name != "engine")

RULES: tuple[Rule, ...] = (
    Rule(
        path="spec",
        expression="!has(self.args) || has(self.command)",
        message="args needs command: the derived command line has its own arguments, "
        "add to it with server.extraArgs",
        field="args",
    ),
    Rule(
        path="spec.server",
        expression="!has(self.workers) || (has(self.workerPolicy) && self.workerPolicy == 'Fixed')",
        message="workers needs workerPolicy: Fixed; without it the number is derived",
        field="workers",
    ),
    Rule(
        path="spec.server",
        expression="!has(self.workerPolicy) || self.workerPolicy != 'Fixed' || has(self.workers)",
        message="workerPolicy: Fixed needs workers",
        field="workerPolicy",
    ),
    Rule(
        path="spec.server",
        expression="!has(self.engine) || self.engine != 'Gunicorn' || !has(self.rootPath)",
        message="gunicorn's uvicorn worker takes no root path; write FastAPI(root_path=...) in the "
        "app, or another engine",
        field="rootPath",
    ),
    Rule(
        path="spec.server",
        expression="!has(self.engine) || self.engine != 'Granian' || "
        "!has(self.keepAliveSeconds) || self.keepAliveSeconds <= 60",
        message="granian keeps an idle connection for 60 seconds at most",
        field="keepAliveSeconds",
    ),
    Rule(
        path="spec.server",
        expression="!has(self.engine) || self.engine != 'Granian' || "
        "!has(self.gracefulSeconds) || self.gracefulSeconds <= 1800",
        message="granian waits for a worker for 1800 seconds at most",
        field="gracefulSeconds",
    ),
    Rule(
        path="spec.scaling",
        expression="!has(self.replicas) || "
        "(!has(self.minReplicas) && !has(self.maxReplicas) && !has(self.targetCpuPercent) && "
        "!has(self.targetInFlight) && !has(self.scaleDownSeconds) && !has(self.engine))",
        message="replicas, which kubectl scale sets, fixes the number of pods; the other fields of "
        "scaling leave it to the autoscaler; keep one of the two (minReplicas raises the number at "
        "once)",
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
        message="engine: Keda needs keda.prometheusAddress, and keda goes with it",
        field="keda",
    ),
    *_external_needs_a_secret("spec.redis", managed=("engine", "memory", "persistence")),
    *_external_needs_a_secret(
        "spec.queue", managed=("engine", "memory", "persistence", "deletionPolicy")
    ),
    Rule(
        path="spec.redis",
        expression="!has(self.maxClients) || (has(self.mode) && self.mode == 'External')",
        message="maxClients is for mode: External; a managed cache's follows from memory",
        field="maxClients",
    ),
    *_external_needs_a_secret(
        "spec.postgres",
        managed=("version", "storage", "resources", "backup", "restoreFrom", "deletionPolicy"),
    ),
    Rule(
        path="spec.postgres",
        expression="!has(self.version) || !has(self.mode) || self.mode != 'CloudNativePG'",
        message="version is for mode: Managed; CloudNativePG chooses and keeps its own",
        field="version",
    ),
    Rule(
        path="spec.postgres",
        expression=f"{_EXTERNAL} == has(self.maxConnections)",
        message="maxConnections goes with mode: External, which needs it: what the database "
        "grants decides every pool; a provisioned one's follows from its resources",
        field="maxConnections",
    ),
    Rule(
        path="spec.postgres",
        expression=f"(!has(self.tls) && !has(self.migrationSecretRef)) || {_EXTERNAL}",
        message="tls and migrationSecretRef are for mode: External",
        field="mode",
    ),
    Rule(
        path="spec.postgres.tls",
        expression="!has(self.mode) || "
        "has(self.caRef) == (self.mode == 'VerifyCA' || self.mode == 'VerifyFull')",
        message="VerifyCA and VerifyFull need caRef, and caRef goes with them",
        field="caRef",
    ),
    Rule(
        path="spec.postgres",
        expression="!has(self.cloudNativePG) || (has(self.mode) && self.mode == 'CloudNativePG')",
        message="cloudNativePG is for mode: CloudNativePG",
        field="cloudNativePG",
    ),
    Rule(
        path="spec.postgres",
        expression="(!has(self.backup) && !has(self.restoreFrom)) || !has(self.mode) || "
        "self.mode == 'Managed'",
        message="backup and restoreFrom are for mode: Managed; CloudNativePG's backup goes below "
        "cloudNativePG",
        field="backup",
    ),
    Rule(
        path="spec.exposure",
        expression="(!has(self.gateway) && !has(self.ingress) && !has(self.tls)) || "
        "has(self.hosts)",
        message="gateway, ingress and tls need hosts",
        field="hosts",
    ),
    Rule(
        path="spec.exposure",
        expression="!has(self.gateway) || !has(self.ingress)",
        message="write gateway or ingress, not both; two entries for one host contradict",
        field="ingress",
    ),
    Rule(
        path="spec.exposure.tls",
        expression="!has(self.secretName) || !has(self.issuer)",
        message="write secretName for a certificate that exists, or issuer for a new one",
        field="issuer",
    ),
    Rule(
        path="spec.rollout",
        expression="!has(self.maxSurge) || (self.maxSurge != 0 && self.maxSurge != '0%') || "
        "(has(self.maxUnavailable) && self.maxUnavailable != 0 && self.maxUnavailable != '0%')",
        message="maxSurge 0 needs a maxUnavailable above 0, else a rollout can replace no pod",
        field="maxSurge",
    ),
    Rule(
        path="spec.availability.disruptionBudget",
        expression="!has(self.maxUnavailable) || "
        "(self.maxUnavailable != 0 && self.maxUnavailable != '0%')",
        message="maxUnavailable 0 would block every drain of a node; allow at least one pod",
        field="maxUnavailable",
    ),
    Rule(
        path="spec.network",
        expression="!has(self.egressTo) || (has(self.egress) && self.egress == 'Restricted')",
        message="egressTo needs egress: Restricted",
        field="egressTo",
    ),
    Rule(
        path="spec.serviceAccount",
        expression="!has(self.name) || !has(self.annotations)",
        message="annotations are for an account of the service's own; an existing one (name) "
        "keeps those it has",
        field="annotations",
    ),
    Rule(
        path="spec.proxy",
        expression="!has(self.engine) || self.engine != 'None' || !("
        + " || ".join(f"has(self.{field})" for field in _OF_A_PROXY)
        + ")",
        message="engine: None has no proxy, so nothing else can be said of it",
        field="engine",
    ),
    _unique("spec.proxy", "static", "path", message="two directories have one path"),
    _unique("spec.proxy.cache", "routes", "path", message="two routes have one path"),
    _unique("spec.proxy.headers", "add", "name", message="one header is written twice"),
    _unique("spec", "background", "name", message="two processes have one name"),
    _unique("spec", "schedules", "name", message="two schedules have one name"),
    Rule(
        path="spec",
        expression="!has(self.background) || !has(self.schedules) || self.background.all(one, "
        "!self.schedules.exists(other, other.name == one.name))",
        message="a process and a schedule have one name; names are unique among both",
        field="background",
    ),
    Rule(
        path="spec.background[]",
        expression="!has(self.singleton) || !self.singleton || !has(self.replicas) || "
        "self.replicas <= 1",
        message="a singleton has at most one pod; remove replicas or singleton",
        field="replicas",
    ),
    Rule(
        path="spec",
        expression="!has(self.command) || !has(self.server) || !has(self.server.extraArgs)",
        message="command takes the place of the server's command line; move server.extraArgs "
        "to args",
        field="command",
    ),
    Rule(
        path="spec.postgres.pooler",
        expression="!has(self.engine) || self.engine != 'None' || !has(self.instances)",
        message="engine: None has no pooler, so it has no instances",
        field="instances",
    ),
    Rule(
        path="spec.observability.slo",
        expression="!has(self.latencyPercent) || has(self.latencyMilliseconds)",
        message="latencyPercent needs latencyMilliseconds, of which it is the share",
        field="latencyPercent",
    ),
    Rule(
        path="spec.observability.slo",
        expression="!has(self.availabilityPercent) || self.availabilityPercent != '100'",
        message="100 leaves no error budget: every single error would be an alert; write 99.999",
        field="availabilityPercent",
    ),
    Rule(
        path="spec.observability.slo",
        expression="!has(self.latencyPercent) || self.latencyPercent != '100'",
        message="100 leaves no error budget: every slow answer would be an alert; write 99.9",
        field="latencyPercent",
    ),
    Rule(
        path="spec.network",
        expression="!has(self.policies) || self.policies != 'Disabled' || "
        "(!has(self.egress) && !has(self.egressTo) && !has(self.ingressFrom))",
        message="with policies: Disabled nothing is enforced; remove egress, egressTo and "
        "ingressFrom",
        field="policies",
    ),
    Rule(
        path="spec.availability.disruptionBudget",
        expression=f"!has(self.maxUnavailable) || !{_is_zero('self.maxUnavailable')}",
        message="maxUnavailable of nothing makes every drain of a node wait for ever; write 1",
        field="maxUnavailable",
    ),
    Rule(
        path="spec.rollout",
        expression=f"!has(self.maxSurge) || !{_is_zero('self.maxSurge')} || "
        f"(has(self.maxUnavailable) && !{_is_zero('self.maxUnavailable')})",
        message="without a surge a rollout must take a pod away first; write maxUnavailable: 1",
        field="maxSurge",
    ),
)
