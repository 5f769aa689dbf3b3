"""Choose sites: covering and median models with proven bounds, and proposals people can check.

`maximal_cover`, `set_cover` and `p_median` work on plain arrays; `propose_sites` walks the streets,
solves, and explains; `propose_together` does so for several kinds that may share premises.
"""

from geo_service.siting._models import Conditions
from geo_service.siting.capacitated import capacitated_cover, capacitated_set_cover
from geo_service.siting.center import p_center
from geo_service.siting.covering import backup_cover, maximal_cover, set_cover
from geo_service.siting.equity import equitable_cover
from geo_service.siting.joint import JointPlan, Kind, joint_cover
from geo_service.siting.median import p_median
from geo_service.siting.plans import Plan
from geo_service.siting.proposals import Proposal, propose_sites
from geo_service.siting.rules import Rules
from geo_service.siting.together import JointProposal, Wish, propose_together

__all__ = [
    "Conditions", "JointPlan", "JointProposal", "Kind", "Plan", "Proposal", "Rules", "Wish",
    "backup_cover", "capacitated_cover", "capacitated_set_cover", "equitable_cover", "joint_cover",
    "maximal_cover", "p_center", "p_median", "propose_sites", "propose_together", "set_cover",
]  # fmt: skip
