"""What leaves the product on paper and disk: XLSX, HTML, GeoPackage and JSON of any result.

Codes go into spreadsheets as text, so Excel and WPS leave their digits alone. Nothing written here
holds a date or a path: the same input gives the same bytes, so whoever audits a report makes it
again and compares.
"""

from geo_service.reports.check_forms import write_check
from geo_service.reports.old_reports import OldReport, read_old_report
from geo_service.reports.opinions import Input, Opinion
from geo_service.reports.rechecks import Recheck, recheck
from geo_service.reports.tables import write_result, write_tables
from geo_service.reports.words import KINDS_ZH, SEVERITIES_ZH

__all__ = [
    "KINDS_ZH",
    "SEVERITIES_ZH",
    "Input",
    "OldReport",
    "Opinion",
    "Recheck",
    "read_old_report",
    "recheck",
    "write_check",
    "write_result",
    "write_tables",
]
