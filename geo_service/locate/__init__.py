"""Point -> grid: a two-level cell index, exact at every point.

`Locator` holds the grids of a layer; `Located` is what it answers; `describe` puts one answer into
the words of the contract, with the chain of areas above the grid and the reason.
"""

from geo_service.locate.answer import chain_of, describe
from geo_service.locate.locator import Located, Locator

__all__ = ["Located", "Locator", "chain_of", "describe"]
