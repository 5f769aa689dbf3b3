"""``import``, ``drafts``, ``publish``, ``history`` ...: drafts in, dated revisions out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from geo_service.cli import _terminal as terminal
from geo_service.cli.check import Crs, Datum, Encoding, LayerInFile, SwapAxes, read_near
from geo_service.cli.columns import Map, Sender, mapping, remembered
from geo_service.errors import InputError, Phrase

if TYPE_CHECKING:
    import geopandas as gpd
    import pandas as pd

    from geo_service.boundary_files import BoundaryFile
    from geo_service.georeference import Box
    from geo_service.layers import Layer
    from geo_service.store import Store
    from geo_service.store.records import Edit

LayerName = Annotated[str, typer.Argument(help="图层 · Layer: city counties townships … grids")]
DraftNumber = Annotated[int, typer.Argument(help="草稿编号 · Number of the draft")]
Author = Annotated[str, typer.Option(envvar="GEO_SERVICE_AUTHOR", help="操作人 · Who does it")]


def register(app: terminal.App) -> None:
    """Put this file's commands on the app."""
    app.command("init")(init)
    app.command("import")(import_)
    app.command("drafts")(drafts)
    app.command("publish")(publish)
    app.command("discard")(discard)
    app.command("edits")(edits)
    app.command("history")(history)
    app.command("diff")(diff)
    app.command("rollback")(rollback)
    app.command("export")(export)


def init(
    plane: Annotated[str, typer.Option(help="工作坐标系 · Working plane")] = "EPSG:4547",
    title: Annotated[str, typer.Option(help="名称 · Title")] = "",
    store: terminal.StorePath = None,
    as_json: terminal.AsJson = False,
) -> None:
    """建库 · Make an empty store."""
    from geo_service.store import create_store

    path = terminal.store_path(store)
    with create_store(path, plane=plane, title=title) as made:
        if as_json:
            terminal.print_json({"store": made.name, "plane": made.plane})
        else:
            zh, en = f"已建库 {made.name}（{made.plane}）", f"Made {made.name} ({made.plane})"
            terminal.out().print(terminal.say(zh, en), markup=False)


def import_(
    file: Annotated[Path, typer.Argument(help="边界文件 · A boundary file")],
    layer: Annotated[str, typer.Option(help="导入到哪个图层 · Into which layer")],
    level: Annotated[
        str | None, typer.Option(help="文件的层级，与图层不符则拒绝 · The file's level; must fit")
    ] = None,
    replace_within: Annotated[
        str | None, typer.Option(help="只替换该区划内的部分 · Replace only inside this code")
    ] = None,
    map_: Map = None,
    author: Sender = "",
    crs: Crs = None,
    datum: Datum = None,
    swap_axes: SwapAxes = False,
    encoding: Encoding = None,
    file_layer: LayerInFile = None,
    store: terminal.StorePath = None,
    as_json: terminal.AsJson = False,
) -> None:
    """导入为草稿 · Bring a file in as a draft; nothing is published yet."""
    from geo_service import layers

    _refuse_other_level(layers.layer(layer), level)  # before the file is read
    given = mapping(map_)
    read = read_near(
        file, lambda: _city_box(terminal.store_path(store)), crs=crs, datum=datum,
        swap_axes=swap_axes, encoding=encoding, layer=file_layer, fields=given,
        remembered=remembered(terminal.store_path(store), author),
    )  # fmt: skip
    frame = read.layer_frame()
    with _opened_or_made(terminal.store_path(store), read) as opened:
        draft = opened.create_draft(
            layer,
            frame,
            source=read.source,
            sha256=read.sha256,
            notes=read.notes,
            author=author,
            replace_within=replace_within,
        )
        if given and author:
            opened.remember_fields(author, {**opened.fields_of(author), **given})
    if as_json:
        terminal.print_json(draft.to_dict())
        return
    console, say = terminal.out(), terminal.say
    for note in draft.notes:
        console.print(f"· {say(note['zh'], note['en'])}", style="dim", markup=False)
    console.print(
        say(
            f"草稿 {draft.id}：{layer}，{len(frame)} 个图形。"
            f"下一步：geo-service check --draft {draft.id}",
            f"Draft {draft.id}: {layer}, {len(frame)} features. "
            f"Next: geo-service check --draft {draft.id}",
        ),
        markup=False,
    )


def _refuse_other_level(layer: Layer, level: str | None) -> None:
    if level is None or level == layer.level:
        return
    reason = Phrase(
        f"图层 {layer.name} 的层级是 {layer.level}", f"layer {layer.name} holds {layer.level}"
    )
    raise InputError("parameter_invalid", name="--level", value=level, reason=reason)


def drafts(store: terminal.StorePath = None, as_json: terminal.AsJson = False) -> None:
    """草稿列表 · List the drafts."""
    from geo_service.store import open_store

    with open_store(terminal.store_path(store)) as opened:
        found = [draft.to_dict() for draft in opened.drafts()]
        edited = opened.edits()
    if as_json:
        terminal.print_json(found)
        return
    columns = ("id", "layer", "state", "features", "source", "author", "created_at")
    rows = [[draft.get(column) for column in columns] for draft in found]
    terminal.out().print(
        terminal.table(terminal.say("草稿", "drafts"), terminal.heads(columns), rows)
    )
    for edit in edited:
        _offer(edit)


def edits(
    take: Annotated[
        str | None, typer.Option(help="把该图层的编辑变成草稿 · Make a draft of this layer's edits")
    ] = None,
    discard: Annotated[
        str | None, typer.Option(help="放弃该图层的编辑 · Let go of this layer's edits")
    ] = None,
    author: terminal.Author = "",
    store: terminal.StorePath = None,
    as_json: terminal.AsJson = False,
) -> None:
    """在 QGIS 中的编辑 · Edits saved from QGIS into published layers: list, take in, let go."""
    from geo_service.store import open_store

    if take is not None and discard is not None:
        reason = Phrase("收入和丢弃只能选一个", "take in or discard, not both")
        raise InputError("parameter_invalid", name="--take", value=take, reason=reason)
    say, console = terminal.say, terminal.out()
    with open_store(terminal.store_path(store)) as opened:
        if discard is not None:
            opened.discard_edits(discard)
            told: Any = {"discarded": discard}
            said = say(f"已放弃对 {discard} 的编辑", f"Discarded the edits of {discard}")
        elif take is not None:
            draft = opened.take_edits(take, author=author)
            told = draft.to_dict()
            zh = f"草稿 {draft.id}：下一步 geo-service check --draft {draft.id}"
            en = f"Draft {draft.id}; next: geo-service check --draft {draft.id}"
            said = say(zh, en)
        else:
            found = opened.edits()
            told = [edit.to_dict() for edit in found]
            said = "" if found else say("没有直接编辑", "nothing was edited")
            if not as_json:
                for edit in found:
                    _offer(edit)
    if as_json:
        terminal.print_json(told)
    elif said:
        console.print(said, markup=False)


def publish(
    draft: DraftNumber,
    message: Annotated[str, typer.Option(help="说明 · What changed and why")] = "",
    accept: Annotated[
        list[str] | None,
        typer.Option(help="接受的问题：类别或 类别:编码+编码 · A kind, or one fault, repeatable"),
    ] = None,
    reason: Annotated[str, typer.Option(help="接受的理由 · Why they are accepted")] = "",
    profile: Annotated[str, typer.Option(help="规则方案 · Rule profile, or a .toml")] = "default",
    author: terminal.Author = "",
    store: terminal.StorePath = None,
    as_json: terminal.AsJson = False,
) -> int:
    """检查并发布草稿 · Check a draft and publish it as a dated revision."""
    from geo_service import profiles
    from geo_service.errors import ConflictError
    from geo_service.store import open_store

    with open_store(terminal.store_path(store)) as opened:
        kept = opened.draft(draft).check
        if kept is None or kept.profile != profiles.load(profile).label:
            opened.check_draft(draft, profile=profile, author=author)
        try:
            revision = opened.publish(
                draft, message=message, author=author, accept=accept or (), reason=reason
            )
        except ConflictError as error:
            if error.code != "draft_has_faults":
                raise
            terminal.fail(error, as_json=as_json)
            return terminal.FOUND_FAULTS
    if as_json:
        terminal.print_json(revision.to_dict())
    else:
        zh = f"已发布 {revision.layer} 修订 {revision.number}（{revision.features} 个图形）"
        en = f"Published {revision.layer} r{revision.number} ({revision.features} features)"
        terminal.out().print(terminal.say(zh, en), markup=False)
    return 0


def discard(
    draft: DraftNumber, store: terminal.StorePath = None, as_json: terminal.AsJson = False
) -> None:
    """丢弃草稿 · Discard a draft."""
    from geo_service.store import open_store

    with open_store(terminal.store_path(store)) as opened:
        opened.discard(draft)
    if as_json:
        terminal.print_json({"discarded": draft})
    else:
        terminal.out().print(terminal.say(f"已丢弃草稿 {draft}", f"Discarded draft {draft}"))


def history(
    layer: LayerName, store: terminal.StorePath = None, as_json: terminal.AsJson = False
) -> None:
    """修订历史 · The revisions of a layer."""
    from geo_service.store import open_store

    with open_store(terminal.store_path(store)) as opened:
        found = [revision.to_dict() for revision in opened.history(layer)]
    if as_json:
        terminal.print_json(found)
        return
    columns = ("number", "published_at", "features", "author", "message", "sha256")
    rows = [[str(revision.get(column, ""))[:19] for column in columns] for revision in found]
    terminal.out().print(terminal.table(layer, terminal.heads(columns), rows))


def diff(
    layer: LayerName,
    a: Annotated[str, typer.Argument(help="较早的修订或日期 · The earlier revision or date")],
    b: Annotated[str, typer.Argument(help="较晚的修订或日期 · The later revision or date")],
    output: terminal.Output = None,
    store: terminal.StorePath = None,
    as_json: terminal.AsJson = False,
) -> None:
    """两个修订的差别 · What changed between two revisions."""
    from geo_service import reports
    from geo_service.store import open_store

    with open_store(terminal.store_path(store)) as opened:
        found = opened.diff(layer, a, b)
    tables = {"added": found.added, "removed": found.removed, "changed": found.changed}
    if output is not None:
        plain = {name: _plain(frame) for name, frame in tables.items()}
        reports.write_tables({**plain, "crosswalk": found.successors()}, output)
    if as_json:
        terminal.print_json(found.to_dict())
        return
    console, say = terminal.out(), terminal.say
    names = {"added": "新增", "removed": "停用", "changed": "改动"}
    for name, frame in tables.items():
        shown = "、".join(frame["code"].head(10)) + (" …" if len(frame) > 10 else "")
        console.print(f"{say(names[name], name)}: {len(frame)}  {shown}", markup=False)


def rollback(
    layer: LayerName,
    revision: Annotated[int, typer.Argument(help="回到哪个修订 · Back to which revision")],
    author: terminal.Author = "",
    store: terminal.StorePath = None,
    as_json: terminal.AsJson = False,
) -> None:
    """回退 · Publish an earlier revision again, as a new one."""
    from geo_service.store import open_store

    with open_store(terminal.store_path(store)) as opened:
        made = opened.rollback(layer, revision, author=author)
    if as_json:
        terminal.print_json(made.to_dict())
    else:
        zh = f"{layer} 已按修订 {revision} 回退，成为修订 {made.number}"
        en = f"{layer} is back at r{revision}, as r{made.number}"
        terminal.out().print(terminal.say(zh, en))


def export(
    layer: LayerName,
    output: Annotated[Path, typer.Option("-o", "--output", help="写到文件 · Write to this file")],
    at: Annotated[str | None, typer.Option(help="修订号或日期 · As of a revision or date")] = None,
    store: terminal.StorePath = None,
    as_json: terminal.AsJson = False,
) -> None:
    """导出 · Write a layer out, as it is or as it was."""
    from geo_service import boundary_files
    from geo_service.store import open_store

    with open_store(terminal.store_path(store)) as opened:
        frame = opened.frame(layer, at=at)
        number = opened.revision(layer, at=at).number
        title = opened.info().title
    packed = output.suffix.lower() == ".pmtiles"
    tiles: dict[str, int] = {}
    if packed:
        tiles = {"tiles": _pack(frame, layer, output, number, title, quiet=as_json)}
    else:
        boundary_files.write(frame, output)
    note = None if packed else boundary_files.name_note(frame, output)
    if as_json:
        answer = {
            "written": str(output),
            "layer": layer,
            "revision": number,
            "features": len(frame),
            **tiles,
        }
        notes = [{"code": note.code, "zh": note.zh, "en": note.en}] if note else []
        terminal.print_json({**answer, "notes": notes})
    else:
        if note:
            terminal.out().print(f"· {terminal.say(note.zh, note.en)}", style="dim", markup=False)
        zh = f"{layer} 修订 {number}，{len(frame)} 个图形，已写入 {output}"
        en = f"{layer} r{number}, {len(frame)} features, written to {output}"
        terminal.out().print(terminal.say(zh, en), markup=False)


def _pack(
    frame: gpd.GeoDataFrame, layer: str, output: Path, revision: int, title: str, *, quiet: bool
) -> int:
    """Write a layer's vector tiles into one file; tiles carry codes and names, never people."""
    from concurrent.futures import ThreadPoolExecutor

    from geo_service.layers import LAYERS
    from geo_service.tiles import TileSource, archive

    with (
        ThreadPoolExecutor(1) as executor,
        terminal.progress("切片", "tiles", quiet=quiet) as advance,
    ):
        source = TileSource.of(
            frame, layer, tiles=LAYERS[layer].contract == "tiles", executor=executor
        )
        about = {"description": title, "version": str(revision)}
        return archive.write(source, output, about=about, on_progress=advance)


def _offer(edit: Edit) -> None:
    """Say what a planner edited in QGIS, and what can be done with it."""
    counts = (len(edit.added), len(edit.removed), len(edit.changed))
    zh = "{} 于 {} 在 QGIS 中编辑：新增 {}，删除 {}，改动 {}（未发布）。".format(
        edit.layer, edit.at[:16], *counts
    )
    en = "{} was edited in QGIS at {}: {} added, {} removed, {} changed; not published.".format(
        edit.layer, edit.at[:16], *counts
    )
    console, say = terminal.out(), terminal.say
    console.print(say(zh, en), style="yellow", markup=False)
    console.print(f"  geo-service edits --take {edit.layer} | --discard {edit.layer}", markup=False)


def _city_box(path: str) -> Box | None:
    """Where the store's layers lie, if there are any."""
    from geo_service.store import open_store, store_exists

    if not store_exists(path):
        return None
    with open_store(path) as opened:
        return opened.lonlat_box()


def _opened_or_made(path: str, read: BoundaryFile) -> Store:
    """Open the store; the first import into a fresh place makes it, in the file's own plane."""
    from geo_service import crs
    from geo_service.store import create_store, open_store, store_exists

    if store_exists(path):
        return open_store(path)
    if not crs.is_lonlat(read.frame.crs):
        return create_store(path, plane=crs.name(read.frame.crs))
    x0, y0, x1, y1 = read.frame.total_bounds
    return create_store(path, plane=f"EPSG:{crs.plane_for((x0 + x1) / 2, (y0 + y1) / 2)}")


def _plain(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.drop(columns=[c for c in ("geometry", "geometry_before") if c in frame.columns])
