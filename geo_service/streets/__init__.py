"""Streets one can walk: an OpenStreetMap extract becomes a `WalkNetwork`.

Named steps, a module each: `pbf` reads the extract by the rules of `tag_rules` into `segments`;
`contraction` makes the graph a profile may walk; `snapping` puts places on it; `network` holds it.
"""

from geo_service.streets.network import WalkNetwork
from geo_service.streets.snapping import Snapped
from geo_service.streets.tag_rules import WalkProfile, profile, profiles

__all__ = ["Snapped", "WalkNetwork", "WalkProfile", "profile", "profiles"]
