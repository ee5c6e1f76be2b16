"""The shop, which is worse by its environment."""

from shop.main import app
from worse import Worse

app.add_middleware(Worse)
