"""Registers of grids and rosters of staff, and how they agree with the map."""

from geo_service.registers.invariants import Invariants, check_invariants
from geo_service.registers.reading import Register, read
from geo_service.registers.reconciling import Reconciliation, reconcile, truncated_percent
from geo_service.registers.roster import Staffing, staff

__all__ = [
    "Invariants",
    "Reconciliation",
    "Register",
    "Staffing",
    "check_invariants",
    "read",
    "reconcile",
    "staff",
    "truncated_percent",
]
