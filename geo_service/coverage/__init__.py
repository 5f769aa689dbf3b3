"""Prove that grids tile a city, or locate, measure and name every fault."""

from geo_service.coverage._certificate import Certificate, certificate, chain
from geo_service.coverage._check import check
from geo_service.coverage._faults import KINDS
from geo_service.coverage._messages import metres, square_metres
from geo_service.coverage._report import CoverageReport

__all__ = [
    "KINDS",
    "Certificate",
    "CoverageReport",
    "certificate",
    "chain",
    "check",
    "metres",
    "square_metres",
]
