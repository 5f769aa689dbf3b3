"""Choose sites: covering and median models with proven bounds, and proposals people can check.

`maximal_cover`, `set_cover` and `p_median` work on plain arrays; `propose_sites` walks the streets,
solves, and explains.
"""

from geo_service.siting.covering import maximal_cover, set_cover
from geo_service.siting.median import p_median
from geo_service.siting.plans import Plan
from geo_service.siting.proposals import Proposal, propose_sites

__all__ = ["Plan", "Proposal", "maximal_cover", "p_median", "propose_sites", "set_cover"]
