"""The connection budget as the stages of a funnel."""

from collections.abc import Iterator

from fastapi_operator.tuning.budget import ConnectionBudget
from fastapi_operator.views.charts import Segment, Stage

# Colours of the processes, the app's first; further ones share the last. The app, the pooler and
# the reserve have the colours that they have in the footprint.
_SHADES = ("fill-1", "fill-2", "fill-7", "fill-8")
_POOLER, _DIRECT, _RESERVED = "fill-4", "fill-3", "fill-6"


def stages(budget: ConnectionBudget) -> tuple[Stage, ...]:
    """Returns the stages from the processes at their peak to the slots of the database."""
    return tuple(_stages(budget))


def shade(index: int) -> str:
    """Returns the class of the processes at this place of the budget."""
    return _SHADES[min(index, len(_SHADES) - 1)]


def _stages(budget: ConnectionBudget) -> Iterator[Stage]:
    first, *others = budget.steps()
    pooled = budget.pooler_clients is not None
    of_claims = tuple(
        Segment(claim.name, claim.demand, shade(index))
        for index, claim in enumerate(budget.claims)
        if claim.demand
    )
    yield Stage(
        title="Processes",
        note=f"{budget.processes} at the peak",
        segments=of_claims,
        shown=_connections(budget.demand),
        # Without a pooler the next stage is the database, whose bound is shown there.
        bound=_bound(first.slack, f"{first.capacity} accepted") if pooled else "",
        fits=first.slack >= 0 or not pooled,
    )
    direct = Segment("direct connections", budget.direct, _DIRECT)
    if budget.pooler_servers is not None:
        servers = Segment("PgBouncer's servers", budget.pooler_servers, _POOLER)
        yield Stage(
            title="PgBouncer",
            note=f"and {budget.direct} direct" if budget.direct else "shares them",
            segments=(servers, direct) if budget.direct else (servers,),
            shown=_connections(budget.pooler_servers + budget.direct),
            bound=_bound(others[0].slack, f"{others[0].capacity + budget.direct} for the service"),
            fits=others[0].slack >= 0,
        )
        used = servers
    else:
        used = Segment("connections of the processes", budget.demand, _SHADES[0])
    free = budget.max_connections - budget.reserved - budget.direct - used.value
    pieces = (
        used,
        direct,
        Segment("reserved for superusers, migrations and monitoring", budget.reserved, _RESERVED),
        Segment("free", max(free, 0), "track"),
    )
    yield Stage(
        title="PostgreSQL",
        note="max_connections",
        segments=tuple(piece for piece in pieces if piece.value),
        shown=_connections(budget.max_connections),
        bound=_bound(free, f"{budget.reserved} reserved"),
        fits=free >= 0,
    )


def _connections(number: int) -> str:
    return f"{number} connection" if number == 1 else f"{number} connections"


def _bound(slack: float, shown: str) -> str:
    return shown if slack >= 0 else f"{-slack:g} too many"
