"""Rules between fields, as data: the CRD carries them as CEL, the command line evaluates the same.

Plain CEL only (no Kubernetes extension functions), so that the API server and the evaluator in
``cel.py`` cannot disagree.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Rule:
    """A rule of one section.

    Attributes:
        path: The section, as its camelCase path below the object: ``spec.server``.
        expression: CEL over ``self``; false or an error refuses the object.
        message: What is wrong and what to write.
        field: The field within the section that the message is about.
    """

    path: str
    expression: str
    message: str
    field: str


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
        path="spec.scaling",
        expression="!has(self.replicas) || "
        "(!has(self.minReplicas) && !has(self.maxReplicas) && !has(self.targetCpuPercent))",
        message="replicas is a fixed number; remove it, or minReplicas, maxReplicas and "
        "targetCpuPercent",
        field="replicas",
    ),
    Rule(
        path="spec.scaling",
        expression="!has(self.minReplicas) || !has(self.maxReplicas) || "
        "self.minReplicas <= self.maxReplicas",
        message="minReplicas must not exceed maxReplicas",
        field="minReplicas",
    ),
)
