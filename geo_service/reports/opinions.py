"""All that the report of a check tells (检查意见书), before it takes a form."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from geo_service.reports import words

if TYPE_CHECKING:
    import geopandas as gpd

    from geo_service.coverage import CoverageReport
    from geo_service.notes import Note
    from geo_service.profiles import Profile
    from geo_service.registers import Invariants, Reconciliation, Staffing
    from geo_service.reports.rechecks import Recheck

_CHUNK = 1 << 20
_ROLES_ZH = {
    "layer": "检查对象",
    "outline": "外界线",
    "register": "登记表",
    "roster": "花名册",
    "events": "事件表",
    "since": "上次报告",
}
_RULES_ZH = {
    "min_area_m2": "列出的最小面积（平方米）",
    "min_width_m": "列出的最小宽度（米）",
    "snap_m": "结点最多移动（米）",
    "max_gap_m": "可修补的最大缝隙（米）",
    "gap_width_m": "缝隙与空洞的分界宽度（米）",
    "missing_grid_share": "算作缺网格的最小面积比",
    "sliver_area_m2": "碎面面积（平方米）",
    "sliver_thinness": "碎面狭长度 4πA/P²",
    "spike_degrees": "尖锐角（度）",
    "area_mismatch_percent": "面积允许误差（%）",
    "code_pattern": "编码规则",
    "required_fields": "必填字段",
    "households": "户数范围",
    "population": "人口范围",
    "least_heads": "每格至少网格长",
    "least_full_time": "每格至少专职网格员",
    "most_grids_per_person": "一人最多网格数",
}


@dataclass(frozen=True)
class Input:
    """A file that a report was made from.

    Parameters
    ----------
    role : str
        ``layer``, ``outline``, ``register``, ``roster``, ``events`` or ``since``.
    name : str
        Without its folder: a report is the same wherever it is made.
    sha256 : str
        Of its bytes; of a folder, of its files' bytes in the order of their names.
    """

    role: str
    name: str
    sha256: str

    @classmethod
    def of(cls, role: str, path: Path) -> Input:
        """Hash a file, or the files of a folder."""
        digest = hashlib.sha256()
        parts = sorted(path.rglob("*")) if path.is_dir() else [path]
        for part in parts:
            if part.is_file():
                with part.open("rb") as file:
                    while chunk := file.read(_CHUNK):
                        digest.update(chunk)
        return cls(role, path.name, digest.hexdigest())

    @property
    def role_zh(self) -> str:
        """What planners call its part."""
        return _ROLES_ZH.get(self.role, self.role)


@dataclass(frozen=True)
class Opinion:
    """The report of a check and what stands beside it.

    Parameters
    ----------
    report : CoverageReport
        What `geo_service.coverage.check` found.
    source : str
        The name of what was checked.
    profile : Profile
        The rules it was judged by.
    inputs : tuple of Input
        The files it was made from.
    read : tuple of Note
        What was found while reading them.
    grids, outline : GeoDataFrame, optional
        For the map.
    reconciliation : Reconciliation, optional
    staffing : Staffing, optional
    invariants : Invariants, optional
    since : Recheck, optional
        What became of an earlier report's faults.
    """

    report: CoverageReport
    source: str
    profile: Profile
    inputs: tuple[Input, ...] = ()
    read: tuple[Note, ...] = ()
    grids: gpd.GeoDataFrame | None = None
    outline: gpd.GeoDataFrame | None = None
    reconciliation: Reconciliation | None = None
    staffing: Staffing | None = None
    invariants: Invariants | None = None
    since: Recheck | None = None

    @property
    def notes(self) -> tuple[Note, ...]:
        """Every remark, in the order they are told."""
        notes = (*self.read, *self.report.notes)
        for part in (self.reconciliation, self.staffing):
            notes += part.notes if part is not None else ()
        return notes

    @property
    def on_map(self) -> str | None:
        """The on-map rate as people read it: 99.99, of which register or number expected."""
        if self.reconciliation is not None:
            return self.reconciliation.on_map_percent
        percent = self.report.on_map_percent
        return None if percent is None else percent[:-2]

    def severities(self) -> dict[str, int]:
        """How many faults there are of each severity, the gravest first."""
        count = self.report.faults["severity"].value_counts()
        return {name: int(count.get(name, 0)) for name in words.SEVERITIES_ZH}

    def rules(self) -> list[tuple[str, str, str]]:
        """The profile's rules as (Chinese, name, value)."""
        left_out = {"name", "version", "severities"}
        shown = []
        for field in dataclasses.fields(self.profile):
            value = getattr(self.profile, field.name)
            if field.name not in left_out and isinstance(value, str | int | float | tuple):
                text = "–".join(map(str, value)) if isinstance(value, tuple) else f"{value}"
                if text:
                    shown.append((_RULES_ZH.get(field.name, field.name), field.name, text))
        return shown

    def fault_table(self) -> pd.DataFrame:
        """The faults as planners list them, one row each, numbered from 1."""
        faults = self.report.faults
        at = [fault["at"] or (None, None) for fault in self.report.to_dict()["faults"]]
        table = pd.DataFrame(
            {
                "序号": range(1, len(faults) + 1),
                "问题": [words.kind_zh(kind) for kind in faults["kind"]],
                "级别": [words.SEVERITIES_ZH[severity] for severity in faults["severity"]],
                "网格编码": faults["codes"].map("、".join),
                "面积（平方米）": faults["area_m2"],
                "宽度（米）": faults["width_m"],
                "说明": faults["message_zh"],
                "经度": [lon for lon, _ in at],
                "纬度": [lat for _, lat in at],
                "X": faults["x"],
                "Y": faults["y"],
                "kind": faults["kind"],
                "message": faults["message_en"],
            }
        )
        if self.since is not None:
            status = [words.STATUSES_ZH[name] for name in self.since.status]
            table.insert(1, "状态", status)
        return table

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON, the form that ``check --json`` prints."""
        from geo_service import __version__

        told = self.report.to_dict()
        if self.since is not None:
            for fault, status in zip(told["faults"], self.since.status, strict=True):
                fault["status"] = status
        parts = {
            "register": self.reconciliation,
            "staff": self.staffing,
            "invariants": self.invariants,
            "since": self.since,
        }
        return {
            **told,
            "source": self.source,
            "read": [{"code": n.code, "zh": n.zh, "en": n.en} for n in self.read],
            "inputs": [dataclasses.asdict(given) for given in self.inputs],
            "software": f"geo-service {__version__}",
            "rules": {name: value for _, name, value in self.rules()},
            **{name: part.to_dict() for name, part in parts.items() if part is not None},
        }
