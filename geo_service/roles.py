"""Who may do what: four roles, each with all that the one before it may, and who a caller is.

A *viewer* reads what is published. A *planner* also brings drafts of their own counties and
townships, and sees the people named there. A *publisher* publishes and sees everybody. An *admin*
reads the audit log and the state of the service.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Role = Literal["viewer", "planner", "publisher", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)
_RANK = {role: rank for rank, role in enumerate(ROLES)}


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks.

    Parameters
    ----------
    name : str
        Whom the audit log names.
    role : str or None
        One of `ROLES`; ``None``: nobody that is known.
    areas : tuple of str
        Division codes that a planner may change.
    seat : int or None
        Where the caller's rate is counted; ``None``: it is not.
    sees_persons : bool
        Whether names and phones of their areas are shown to them; on a machine without keys they
        are to nobody.
    """

    name: str
    role: Role | None
    areas: tuple[str, ...] = ()
    seat: int | None = None
    sees_persons: bool = False

    def may(self, role: Role) -> bool:
        """Tell whether what takes a role is open to this caller.

        Examples
        --------
        >>> Caller("王工", "planner").may("viewer"), Caller("王工", "planner").may("publisher")
        (True, False)
        """
        return self.role is not None and _RANK[self.role] >= _RANK[role]

    def may_change(self, code: str | None) -> bool:
        """Tell whether a part of a layer, or the whole of it (``None``), is this caller's to draw.

        Examples
        --------
        >>> own = Caller("王工", "planner", ("411081",))
        >>> own.may_change("411081004"), own.may_change("411002"), own.may_change(None)
        (True, False, False)
        """
        if self.may("publisher"):
            return True
        return self.may("planner") and code is not None and code.startswith(self.areas or ("-",))

    def sees_persons_of(self, code: str) -> bool:
        """Tell whether names and phones kept with a code are shown whole."""
        return self.sees_persons and self.may_change(code)


NOBODY = Caller("", None)
