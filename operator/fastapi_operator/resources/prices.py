"""The cost of a footprint: the user's prices, times the amounts."""

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from fastapi_operator.resources.footprint import Footprint

_GIB = 2**30


class Prices(BaseModel):
    """Prices per month, from a provider's bill or the platform team."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel)

    currency: str = Field(min_length=1, max_length=8)
    cpu_core_month: float = Field(ge=0, allow_inf_nan=False)
    memory_gib_month: float = Field(ge=0, allow_inf_nan=False)
    storage_gib_month: float = Field(ge=0, allow_inf_nan=False)

    def month(self, footprint: Footprint) -> float:
        """Returns the cost of a footprint per month, to the hundredth of the currency."""
        cost = (
            self.cpu_core_month * footprint.cpu_millicores / 1000
            + self.memory_gib_month * footprint.memory_bytes / _GIB
            + self.storage_gib_month * footprint.storage_bytes / _GIB
        )
        return round(cost, 2)
