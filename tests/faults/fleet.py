"""The services of a round: the stage of each when the fault occurs, and its next edit. Seeded."""

import random
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

NAMESPACES = ("fleet-a", "fleet-b")
# Its services are there for the fault that deletes it.
DOOMED = "fleet-doomed"

Spec = dict[str, Any]


class Stage(StrEnum):
    """The stage of a service when the fault occurs."""

    COMING = "is created while the fault lasts"
    DATABASE = "waits for its database"
    MIGRATING = "runs its first migration"
    ROLLING = "rolls out for the first time"
    READY = "is ready, and stays as it is"
    CHANGING = "is ready, and is edited while the fault lasts"
    UPGRADING = "migrates to its second image"
    FAILED = "failed to migrate; it is fixed during the fault"
    SUSPENDED = "is suspended, and resumed while the fault lasts"
    LEAVING = "is deleted while the fault lasts"
    RETURNING = "is deleted and made again while the fault lasts"
    PROMOTED = "has a canary, which a person promotes while the fault lasts"
    ABORTED = "has a canary, which a person aborts while the fault lasts"
    REPLACED = "has a canary; that of another image follows, and a person promotes it"


MINIMAL: Spec = {}
CACHED: Spec = {"redis": {}}
FIXED: Spec = {"scaling": {"replicas": 3}}
FULL: Spec = {"redis": {}, "postgres": {"migrations": {}}}
# Their pods have no metrics, so a person decides. Its end takes as long as proxies may need to read
# their configuration, so short rounds have no canary.
CANARIES = frozenset({Stage.PROMOTED, Stage.ABORTED, Stage.REPLACED})
_CANARY: Spec = {"rollout": {"canary": {"steps": [50], "stepSeconds": 10}}}
_MIGRATES = frozenset({Stage.DATABASE, Stage.MIGRATING, Stage.UPGRADING, Stage.FAILED})


@dataclass(frozen=True)
class Member:
    """One service.

    Attributes:
        name: Its name.
        namespace: Its namespace.
        stage: Its stage when the fault occurs.
        parts: Its spec but for the image.
    """

    name: str
    namespace: str
    stage: Stage
    parts: Spec

    def spec(self, image: int, **changes: Any) -> Spec:
        """Its spec with one of its images."""
        return {"image": f"registry.test/shop:{image}", **self.parts, **changes}

    @property
    def last_image(self) -> int:
        """The image that it has in the end."""
        second = (Stage.CHANGING, Stage.UPGRADING, Stage.SUSPENDED, Stage.PROMOTED, Stage.ABORTED)
        return 3 if self.stage in (Stage.FAILED, Stage.REPLACED) else 1 + (self.stage in second)


def fleet(
    seed: int, count: int, *, prefix: str = "s", doomed: bool = False, canaries: bool = False
) -> list[Member]:
    """Services in random stages; each stage comes up before any comes again.

    Args:
        seed: Of the choice.
        count: How many.
        prefix: Of their names.
        doomed: They live in the namespace that goes.
        canaries: Some of them have a canary.
    """
    chosen = random.Random(seed)
    all_stages = [stage for stage in Stage if canaries or stage not in CANARIES]
    stages: list[Stage] = []
    while len(stages) < count:
        stages += chosen.sample(all_stages, len(all_stages))
    return [
        Member(
            name=f"{prefix}{number:02}",
            namespace=DOOMED if doomed else NAMESPACES[number % len(NAMESPACES)],
            stage=stage,
            parts=(FULL if stage in _MIGRATES else chosen.choice((MINIMAL, CACHED, FIXED, FULL)))
            | (_CANARY if stage in CANARIES else {}),
        )
        for number, stage in enumerate(stages[:count])
    ]
