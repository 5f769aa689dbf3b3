"""What lies within a walk of every grid and of every community: people, households, facilities."""

from geo_service.catchment_counts.counting import COUNTED, Within, within

__all__ = ["COUNTED", "Within", "within"]
