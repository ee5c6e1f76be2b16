"""The course of a canary: its steps and bounds, and the common fields of both versions."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from fastapi_operator.api.proxy import Proxy
from fastapi_operator.api.server import Probes
from fastapi_operator.api.service import Spec
from fastapi_operator.judge.verdict import Limits
from fastapi_operator.parts import Part
from fastapi_operator.tuning import figures
from fastapi_operator.tuning.canary import Divider
from fastapi_operator.tuning.plan import Plan
from fastapi_operator.tuning.scaling import rollout_deadline_seconds

# From this share on, each version has as many pods.
_HALF = 50


@dataclass(frozen=True)
class Course:
    """The steps of a canary, from its plan.

    Attributes:
        steps: The share of the requests in each step, in percent.
        step_seconds: The least time of a step.
        max_wait_seconds: The longest time of a step.
        limits: The bounds for the judge.
        max_pods: The most pods of the new version.
        deadline_seconds: The longest time in which its pods become ready.
        divided_by: The divider of the requests.
        probed_routes: The paths of the app's probes, which its own metrics count as well.
        holds: Whether a failed canary keeps its pods until a person decides.
        shared: The values that the proxy has once for both versions, by field.
    """

    steps: tuple[int, ...]
    step_seconds: int
    max_wait_seconds: int
    limits: Limits
    max_pods: int
    deadline_seconds: int
    divided_by: Divider = Divider.NGINX
    probed_routes: frozenset[str] = frozenset()
    holds: bool = False
    shared: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, spec: Spec, plan: Plan) -> "Course | None":
        """Returns the steps of a spec's canary; None if it is released at once."""
        canary = plan.canary
        if canary is None:
            return None
        share, p95 = canary.max_error_percent, canary.max_p95_milliseconds
        return cls(
            steps=canary.steps.value,
            step_seconds=canary.step_seconds.value,
            max_wait_seconds=canary.max_wait_seconds.value,
            limits=Limits(
                min_requests=canary.min_requests.value,
                max_error_share=float(share.value) / 100 if share is not None else None,
                max_p95_seconds=_seconds(p95.value, canary.divided_by) if p95 else None,
            ),
            max_pods=canary.max_pods.value,
            deadline_seconds=rollout_deadline_seconds(spec),
            divided_by=canary.divided_by,
            probed_routes=_probed_routes(spec),
            holds=canary.on_failure == "Hold",
            shared=_shared(spec),
        )

    def of_trial(self, app_pods: int) -> "Course":
        """Returns the course of numbers that are tried beside so many pods.

        In its last step, one pod with these numbers gets as many requests as each other pod, and
        these keep nearly their usual load: with fewer requests, each number would be enough.
        """
        share = max(1, 100 // (app_pods + 1))
        first = min(figures.CANARY_STEPS)
        # No person waits for a trial, so none decides about one that holds.
        return replace(self, steps=(first, share) if share > first else (share,), holds=False)

    def share(self, step: int) -> int:
        """Returns the share of a step in percent; 0 before the first one."""
        return self.steps[min(step, len(self.steps)) - 1] if step > 0 else 0

    def pods(self, step: int, app_pods: int) -> int:
        """Returns the pods that a step needs beside so many pods of the released version.

        These keep the rest of the requests. With fewer, a pod of the new version would have more
        of them than a released one, and be slower for that alone.
        """
        share = self.share(step)
        needed = -(-app_pods * share // (100 - share)) if share < _HALF else app_pods
        return min(needed, self.max_pods) if share else 0


def _seconds(milliseconds: int, divided_by: Divider) -> float:
    """Returns a bound of durations; with the app's own histogram the next bound that it has."""
    if not divided_by.counts_versions:
        bounds = figures.REQUEST_BUCKETS_MILLISECONDS
        milliseconds = next((it for it in bounds if it >= milliseconds), milliseconds)
    return milliseconds / 1000


def _probed_routes(spec: Spec) -> frozenset[str]:
    probes = (spec.server.probes if spec.server else None) or Probes()
    paths = (probes.startup, probes.readiness, probes.liveness)
    return frozenset(path for path in paths if path)


def _shared(spec: Spec) -> dict[str, str]:
    server, proxy = spec.server, spec.proxy or Proxy()
    return {
        "spec.port": str(spec.port or Part.APP.port),
        "spec.server.rootPath": server.effective_root_path if server is not None else "",
        "spec.proxy.engine": str(proxy.engine or "Nginx"),
        "spec.proxy.balancing": repr(proxy.balancing),
    }


def find_obstacle(course: Course | None, before: Course | None) -> str:
    """Returns why a proxy cannot divide requests between two versions; empty if it can.

    Args:
        course: The steps of the spec.
        before: Those of the released spec.
    """
    if course is None:
        return ""
    if before is None:
        # Its proxies count no versions, and its pools have no room for a second one.
        return "the released version has no spec.rollout.canary"
    changed = [name for name, value in course.shared.items() if before.shared.get(name) != value]
    if not changed:
        return ""
    return f"{' and '.join(changed)} changed, which the proxy has once for both versions"
