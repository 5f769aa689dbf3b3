"""Point -> grid: a two-level cell index, exact at every point.

`Locator` holds the grids of a layer; `Located` is what it answers; `describe` puts one answer into
the words of the contract, with the chain of areas above the grid and the reason; `Gazetteer` does
all of it over a store's published levels.
"""

from geo_service.locate.answer import chain_of, describe
from geo_service.locate.gazetteer import Gazetteer
from geo_service.locate.locator import Located, Locator

__all__ = ["Gazetteer", "Located", "Locator", "chain_of", "describe"]
