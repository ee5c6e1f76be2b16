"""Who enforces a number, and the cost of a change to the running service."""

from enum import StrEnum
from typing import NamedTuple


class Disruption(StrEnum):
    """The cost of a change to the running service."""

    NONE = "none"
    RELOAD = "reload"
    ROLLOUT = "rollout"
    RESTART = "restart"


class Enforcer(StrEnum):
    """Who enforces the value: an object of the cluster, a server's configuration, or the app."""

    OBJECT = "object"
    SERVER = "server"
    APP = "app"


class Effect(NamedTuple):
    """Who enforces a number, and the cost of a change."""

    enforced_by: Enforcer
    disruption: Disruption


OBJECT_NONE = Effect(Enforcer.OBJECT, Disruption.NONE)
OBJECT_ROLLOUT = Effect(Enforcer.OBJECT, Disruption.ROLLOUT)
OBJECT_RESTART = Effect(Enforcer.OBJECT, Disruption.RESTART)
SERVER_RELOAD = Effect(Enforcer.SERVER, Disruption.RELOAD)
SERVER_ROLLOUT = Effect(Enforcer.SERVER, Disruption.ROLLOUT)
SERVER_RESTART = Effect(Enforcer.SERVER, Disruption.RESTART)
APP_ROLLOUT = Effect(Enforcer.APP, Disruption.ROLLOUT)
