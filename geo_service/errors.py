"""Every refusal of the product: its stable code, its HTTP status, its sentence in Chinese and English.

Errors refine builtins (``ValueError``, ``LookupError``), so callers of the library can catch what
they already know. The sentence says what is wrong, where, and what to do; the catalogue below is
the only place where such sentences are written.
"""

from __future__ import annotations

import errno
import os
import string
from dataclasses import dataclass
from typing import Literal, NamedTuple

Language = Literal["zh", "en"]


class Phrase(NamedTuple):
    """A part of a sentence in both languages: a detail that is words, not a name or a number."""

    zh: str
    en: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """One entry of the catalogue.

    Parameters
    ----------
    status : int
        The HTTP status that answers with this error.
    zh, en : str
        The sentence, with ``{detail}`` places filled by the error's details.
    """

    status: int
    zh: str
    en: str


CATALOGUE: dict[str, Refusal] = {
    # files and what is in them
    "file_missing": Refusal(
        404,
        "找不到文件“{file}”。请检查路径和文件名。",
        "There is no file “{file}”. Check the path and the name.",
    ),
    "file_unreadable": Refusal(
        422,
        "“{file}”无法读取：{reason}。文件可能不完整，请重新导出后再试。",
        "“{file}” can't be read: {reason}. It may be cut short; export it again.",
    ),
    "file_empty": Refusal(
        422,
        "“{file}”是空文件（0 字节）。请重新导出或重新上传。",
        "“{file}” is empty (0 bytes). Export or upload it again.",
    ),
    "format_unknown": Refusal(
        422,
        "“{file}”不是可以识别的边界文件。可以读取：{known}。",
        "“{file}” is no boundary file that can be recognised. Read are: {known}.",
    ),
    "format_refused": Refusal(
        422,
        "“{file}”是{found}，不能直接读取。{advice}",
        "“{file}” is {found}, which is not read. {advice}",
    ),
    "format_differs": Refusal(
        422,
        "“{file}”的扩展名是 {ending}，内容却是 {found}。请改正扩展名或重新导出。",
        "“{file}” ends in {ending} but holds {found}. Mend the ending or export it again.",
    ),
    "part_missing": Refusal(
        422,
        "“{file}”缺少 {part} 文件。请把 {parts} 一起打包成 zip 再交。",
        "“{file}” lacks its {part} file. Zip the {parts} together.",
    ),
    "xml_declares_entities": Refusal(
        422,
        "“{file}”第 {line} 行声明了文档类型或实体（DOCTYPE / ENTITY），出于安全不读取。请重新导出 KML。",
        "Line {line} of “{file}” declares a document type or entities, which is refused for safety. "
        "Export the KML again.",
    ),
    "zip_too_large": Refusal(
        413,
        "压缩包“{file}”解压后超过上限：{reason}。请只打包边界文件本身，或分成几个压缩包。",
        "The zip “{file}” unpacks to more than is taken: {reason}. "
        "Zip the boundary files alone, or split them over several zips.",
    ),
    "zip_unsafe": Refusal(
        422,
        "压缩包“{file}”里的“{member}”{reason}，整个压缩包未读取。请重新打包。",
        "“{member}” in the zip “{file}” {reason}; nothing of it was read. Zip the files again.",
    ),
    "zip_locked": Refusal(
        422,
        "压缩包“{file}”里的“{member}”设了密码或用了不支持的压缩方式。请用普通 zip（Deflate、不加密）重新打包。",
        "“{member}” in the zip “{file}” has a password or an unusual compression. "
        "Zip it again, plain deflate and without a password.",
    ),
    "zip_nested": Refusal(
        422,
        "压缩包“{file}”里还有压缩包：{found}。请解压后，把一个图层的文件直接打包。",
        "The zip “{file}” holds further zips: {found}. Unpack them and zip the files of one layer.",
    ),
    "file_too_large": Refusal(
        413,
        "“{file}”展开后有 {size_mb} MB，超过上限 {limit_mb} MB。请分成几个文件。",
        "“{file}” holds {size_mb} MB, more than the {limit_mb} MB that are taken. Split it into several files.",
    ),
    "features_too_many": Refusal(
        413,
        "“{file}”有 {count} 个要素，超过上限 {limit}。请按区县分成几个文件。",
        "“{file}” holds {count} features, more than the {limit} that are taken. Split it by county.",
    ),
    "columns_too_many": Refusal(
        413,
        "“{file}”有 {count} 列，超过上限 {limit} 列。请只保留网格编码、名称等需要的列。",
        "“{file}” has {count} columns, more than the {limit} that are taken. "
        "Keep the code, the name and what else is needed.",
    ),
    "attributes_too_large": Refusal(
        413,
        "“{file}”的属性文字共 {size_mb} MB，超过上限 {limit_mb} MB（最大的列是“{column}”）。请删去不需要的列。",
        "“{file}” holds {size_mb} MB of attribute text, more than the {limit_mb} MB that are taken "
        "(largest column: “{column}”). Remove the columns that are not needed.",
    ),
    "column_unnamed": Refusal(
        422,
        "“{file}”第 {column} 列有内容却没有列名。请补上列名。",
        "Column {column} of “{file}” holds values but has no name. Give it one.",
    ),
    "column_repeated": Refusal(
        422,
        "“{file}”有几列都叫“{column}”。请改成不同的列名。",
        "Several columns of “{file}” are called “{column}”. Give them different names.",
    ),
    "text_garbled": Refusal(
        422,
        "“{file}”第 {row} 行“{column}”列是乱码：“{value}”。原文已在别处损坏，请用正确编码（UTF-8 或 GB18030）重新导出。",
        "Row {row}, column “{column}” of “{file}” is garbled: “{value}”. The text was lost before it came "
        "here; export it again in UTF-8 or GB18030.",
    ),
    "shapes_missing": Refusal(
        422,
        "“{file}”里没有图形列：需要 WKT 列，或经度、纬度两列。现有列：{found}。",
        "“{file}” has no column of shapes: a WKT column is needed, or longitude and latitude. It has: {found}.",
    ),
    "lines_enclose_nothing": Refusal(
        422,
        "“{file}”的 {lines} 条线没有围成任何面。未闭合的端点在：{ends}。请在 CAD 中闭合界线后重新导出。",
        "The {lines} lines of “{file}” enclose no area. Open ends at: {ends}. Close the borders and export again.",
    ),
    "zone_disagrees": Refusal(
        422,
        "“{file}”文件头写的是带号 {zone}，但东坐标（第 {row} 行 {easting}）的带号是 {found}。请核对后改正文件头，或用 --crs 指明。",
        "The header of “{file}” says zone {zone}, but the easting in line {row} ({easting}) is of zone {found}. "
        "Mend the header, or say which system it is with --crs.",
    ),
    "points_missing": Refusal(
        422,
        "“{file}”第 {row} 行的地块“{parcel}”应有 {expected} 个界址点，实有 {count} 个。文件可能被截断，请重新导出。",
        "The parcel “{parcel}” (line {row} of “{file}”) should have {expected} boundary points but has {count}. "
        "The file may be cut short; export it again.",
    ),
    "reader_too_slow": Refusal(
        422,
        "“{file}”读了 {seconds} 秒还没有读完，已停止。请简化图形或分成几个文件。",
        "Reading “{file}” was stopped after {seconds} s. Simplify its shapes or split it into several files.",
    ),
    "reader_too_big": Refusal(
        422,
        "读取“{file}”需要的内存或磁盘超过上限（{limit}），已停止。文件可能损坏，或请分成几个文件。",
        "Reading “{file}” took more memory or disk than it may ({limit}) and was stopped. "
        "The file may be damaged; else split it into several.",
    ),
    "cell_too_long": Refusal(
        422,
        "“{file}”第 {row} 行“{field}”列超过 Excel 单元格上限 {limit} 个字符，会被截断，未写出。请改用 .csv 或 .gpkg。",
        "Row {row}, column “{field}” of “{file}” is longer than the {limit} characters that a cell of Excel holds; "
        "nothing was written. Use .csv or .gpkg.",
    ),
    "crs_not_zone": Refusal(
        422,
        "界址点文件“{file}”需要 CGCS2000 高斯投影分带坐标，图层却是 {crs}。请先转换，例如 EPSG:4547。",
        "The boundary points of “{file}” need a CGCS2000 Gauss zone, but the layer is in {crs}. "
        "Convert it first, to EPSG:4547 say.",
    ),
    "report_unreadable": Refusal(
        422,
        "“{file}”不是本软件写出的检查报告，无法比较。可用的格式：{known}。",
        "“{file}” is no report that check wrote, so nothing can be compared. Forms: {known}.",
    ),
    "output_unwritable": Refusal(
        422,
        "无法写入“{file}”：{reason}。请换一个位置或扩展名（{known}）。",
        "“{file}” can't be written: {reason}. Choose another place or ending ({known}).",
    ),
    "zip_without_boundaries": Refusal(
        422,
        "压缩包“{file}”里没有 Shapefile 或其他边界文件，只有：{found}。请把 .shp、.dbf、.shx 一起压缩。",
        "The zip “{file}” holds no shapefile or other boundary file, only: {found}. "
        "Zip the .shp, .dbf and .shx together.",
    ),
    "layer_choice": Refusal(
        422,
        "“{file}”里有多个图层：{layers}。请指定其中一个（命令行用 --file-layer）。",
        "“{file}” holds several layers: {layers}. Name one of them (--file-layer).",
    ),
    "layer_empty": Refusal(
        422,
        "“{file}”里没有任何要素。请确认导出的图层。",
        "“{file}” holds no features. Check which layer was exported.",
    ),
    "layer_tangled": Refusal(
        422,
        "“{file}”在 ({x}, {y}) 附近有约 {count} 个图形压在同一处（如 {code}），无法逐一列出重叠。请先删去重复的图形再检查。",
        "“{file}” piles about {count} shapes onto one place near ({x}, {y}), {code} among them: too many overlaps to list one by one. Delete the copies, then check again.",
    ),
    "not_polygons": Refusal(
        422,
        "“{file}”第 {row} 行是 {found}，这里需要面（Polygon）。请导出面图层。",
        "Row {row} of “{file}” is a {found}; polygons are needed here. Export the polygon layer.",
    ),
    "geometry_missing": Refusal(
        422,
        "“{file}”第 {row} 行没有图形。请补画或删除该行。",
        "Row {row} of “{file}” has no geometry. Draw it or remove the row.",
    ),
    "coordinate_not_finite": Refusal(
        422,
        "“{file}”第 {row} 行含有非数字坐标（NaN 或无穷大）。请修正该图形。",
        "Row {row} of “{file}” has a coordinate that is NaN or infinite. Mend that geometry.",
    ),
    "crs_missing": Refusal(
        422,
        "“{file}”没有坐标系。按坐标数值看，可能是：{proposal}。请用 --crs 指明。",
        "“{file}” has no coordinate system. By its digits it may be: {proposal}. Say which with --crs.",
    ),
    "crs_unknown": Refusal(
        422,
        "不认识坐标系“{crs}”。请用 EPSG 编号，例如 EPSG:4547。",
        "“{crs}” is not a known coordinate system. Use an EPSG code such as EPSG:4547.",
    ),
    "crs_digits_disagree": Refusal(
        422,
        "“{file}”的坐标数值不像 {crs}。按数值看，可能是：{proposal}。请用 --crs 指明。",
        "The coordinates of “{file}” don't look like {crs}. By their digits they may be: {proposal}. "
        "Say which with --crs.",
    ),
    "axes_swapped": Refusal(
        422,
        "“{file}”的东坐标和北坐标写反了（{x}, {y}），{crs} 应先东后北。若确实如此，请加 --swap-axes。",
        "Easting and northing of “{file}” are exchanged ({x}, {y}); in {crs} easting comes first. "
        "If so, say --swap-axes.",
    ),
    "old_datum": Refusal(
        422,
        "“{file}”是{datum}坐标，与 {crs} 相差{metres}，不能自动转换。"
        "请用当地测绘部门的参数转换后再提交；若只是 .prj 写错，请用 --crs 说明。",
        "“{file}” is in {datum}, {metres} off {crs}, and is not converted on its own. Convert it with "
        "your surveying office's parameters; where only its .prj is wrong, say so with --crs.",
    ),
    "zone_wrong": Refusal(
        422,
        "“{file}”按 {crs} 落在{there}，在参照范围{way} {distance}。按 {proposal} 则落在范围内："
        "可能是带号写错。若是，请加 --crs {proposal}。",
        "In {crs} “{file}” lies {there}, {distance} to the {way} of where it should. In {proposal} it "
        "falls into place: probably the wrong zone. If so, say --crs {proposal}.",
    ),
    "place_wrong": Refusal(
        422,
        "“{file}”形状对，位置不对：整体偏{way} {distance}（移回后相差 {after}）。请核对坐标系和假东距。",
        "“{file}” has the right shape in the wrong place: it lies {distance} to the {way} (moved back, "
        "within {after}). Check its coordinate system and false easting.",
    ),
    "place_elsewhere": Refusal(
        422,
        "“{file}”与参照范围没有任何重合：在其{way}，两者中心相距 {distance}。请确认是否选错了文件。",
        "“{file}” shares no ground with the area it is to fill: it lies to the {way}, {distance} from "
        "middle to middle. Make sure that it is the right file.",
    ),
    "datum_unknown": Refusal(
        422,
        "坐标基准“{datum}”无效。可用：{known}。",
        "“{datum}” is not a datum. Use one of: {known}.",
    ),
    "datum_missing": Refusal(
        422,
        "必须说明坐标基准（差错可达 600 米）。可用：{known}。",
        "The datum of the coordinates must be said; a wrong one is 600 m off. Use one of: {known}.",
    ),
    "lonlat_swapped": Refusal(
        422,
        "经纬度似乎写反了：({x}, {y})。请先经度后纬度；文件可加 --swap-axes。",
        "Longitude and latitude look swapped: ({x}, {y}). Give longitude first; for a file say "
        "--swap-axes.",
    ),
    "lonlat_out_of_range": Refusal(
        422,
        "({x}, {y}) 不是经纬度。经度在 -180 到 180、纬度在 -90 到 90 之间；投影坐标请用 EPSG 编号说明。",
        "({x}, {y}) is not a longitude and latitude. For projected coordinates give their EPSG code.",
    ),
    "encoding_unreadable": Refusal(
        422,
        "“{file}”的文字编码无法识别（试过 {tried}）。请用 --encoding 指明，例如 GB18030。",
        "The text encoding of “{file}” can't be told (tried {tried}). Say it with --encoding, e.g. GB18030.",
    ),
    "field_missing": Refusal(
        422,
        "“{file}”里没有“{field}”列。现有列：{found}。",
        "“{file}” has no column “{field}”. It has: {found}.",
    ),
    "value_invalid": Refusal(
        422,
        "“{file}”第 {row} 行“{field}”列的值“{value}”无效：{reason}。",
        "Row {row}, column “{field}” of “{file}” holds “{value}”, which is not valid: {reason}.",
    ),
    "code_is_a_float": Refusal(
        422,
        "“{file}”第 {row} 行的编码“{value}”已被 Excel 改成小数，无法还原。请把编码列设为文本后重新导出。",
        "Row {row} of “{file}”: the code “{value}” was turned into a number by Excel and can't be restored. "
        "Make the code column text and export again.",
    ),
    "code_damaged": Refusal(
        422,
        "“{file}”第 {rows} 行的编码（如“{value}”）已损坏：{reason}，无法还原。"
        "请把编码列设为文本后重新导出。",
        "The codes in rows {rows} of “{file}” (“{value}”) are damaged: {reason}. They can't be "
        "restored; make the code column text and export again.",
    ),
    "crs_differs": Refusal(
        422,
        "“{file}”的坐标系是 {crs}，与要检查的图层（{other_crs}）不同。"
        "请用 QGIS 等把其中一个另存为另一个的坐标系；或先入库（import），入库时会换算，再检查草稿。",
        "“{file}” is in {crs}, but the layer to be checked is in {other_crs}. "
        "Save one of them in the other's system (QGIS does), or import them: a store converts, and checks drafts.",
    ),
    # parameters
    "parameter_invalid": Refusal(
        422,
        "参数 {name} 的值“{value}”无效：{reason}。",
        "The value “{value}” of {name} is not valid: {reason}.",
    ),
    "grids_piled": Refusal(
        422,
        "有 {count} 个网格堆在一处（例如 {codes}），无法判断该留哪个：请先删除多余的，再修补。",
        "{count} grids lie over one another on one spot (for example {codes}), and which of them is "
        "right can't be told: delete the others first, then repair.",
    ),
    "command_invalid": Refusal(
        422,
        "命令写法有误：{reason}。用法见 {command} --help。",
        "The command is not valid: {reason}. See {command} --help.",
    ),
    "profile_unknown": Refusal(
        404,
        "没有名为“{profile}”的方案。现有：{known}。",
        "There is no profile “{profile}”. Known: {known}.",
    ),
    "profile_key_unknown": Refusal(
        422,
        "规则方案“{file}”里有不认识的项“{key}”。最接近的是：{nearest}。",
        "The rule profile “{file}” has an unknown key “{key}”. The nearest known: {nearest}.",
    ),
    # the store
    "store_missing": Refusal(
        404,
        "找不到数据库“{store}”。请先用 demo 或 import 建立，或用 --store 指明。",
        "There is no store “{store}”. Make one with demo or import, or name it with --store.",
    ),
    "store_exists": Refusal(
        409,
        "“{store}”已经存在，不会覆盖。请换一个名字。",
        "“{store}” exists already and is not overwritten. Choose another name.",
    ),
    "store_foreign": Refusal(
        422,
        "“{store}”不是本软件的数据库。请用 --store 指向正确的文件。",
        "“{store}” is not a store of this program. Point --store at the right file.",
    ),
    "store_newer": Refusal(
        409,
        "“{store}”由更新版本的软件建立（结构版本 {schema}）。请升级本软件。",
        "“{store}” was made by a newer version of this program (schema {schema}). Upgrade.",
    ),
    "store_busy": Refusal(
        503,
        "“{store}”正被另一个写入占用，等了 {seconds} 秒。请稍后再试。",
        "“{store}” is being written by someone else; {seconds} s went by. Try again later.",
    ),
    "store_damaged": Refusal(
        500,
        "“{store}”已损坏：{found}。请从备份恢复。",
        "“{store}” is damaged: {found}. Restore it from a backup.",
    ),
    "store_unusable": Refusal(
        500,
        "“{store}”无法使用：{reason}。请检查磁盘空间和文件权限。",
        "“{store}” can't be used: {reason}. Check disk space and permissions.",
    ),
    "store_unreachable": Refusal(
        503,
        "连接不上数据库“{store}”：{reason}。请检查地址、用户和密码，以及数据库是否在运行。",
        "The database “{store}” can't be reached: {reason}. "
        "Check the address, user and password, and that the server runs.",
    ),
    "store_forbidden": Refusal(
        500,
        "数据库“{store}”不允许此操作：{reason}。请管理员授予该用户建模式和写入的权限。",
        "The database “{store}” does not allow it: {reason}. "
        "Have its administrator grant the user the rights to create in and write to the schema.",
    ),
    "postgis_missing": Refusal(
        422,
        "数据库“{store}”没有 PostGIS 扩展，且不能自动建立：{reason}。请管理员安装 PostGIS 并执行 CREATE EXTENSION postgis。",
        "The database “{store}” has no PostGIS, and it can't be added: {reason}. "
        "Have its administrator install PostGIS and run CREATE EXTENSION postgis.",
    ),
    "postgis_driver_missing": Refusal(
        422,
        "没有安装 PostgreSQL 驱动。请执行 pip install 'psycopg[binary]'。",
        "The PostgreSQL driver is not installed. Run pip install 'psycopg[binary]'.",
    ),
    "server_too_old": Refusal(
        422,
        "“{store}”的版本太旧：{found}，至少需要 {needed}。请升级数据库。",
        "“{store}” is too old: {found}; {needed} is the least. Upgrade the database.",
    ),
    "table_missing": Refusal(
        404,
        "数据库里没有表“{table}”。现有：{known}。",
        "The store holds no table “{table}”. It has: {known}.",
    ),
    "folder_not_ours": Refusal(
        409,
        "“{folder}”里有其他文件，演示不会覆盖。请换一个空文件夹。",
        "“{folder}” holds other files, which the demo does not overwrite. Name an empty folder.",
    ),
    "layer_unknown": Refusal(
        404,
        "没有图层“{layer}”。现有：{known}。",
        "There is no layer “{layer}”. Known: {known}.",
    ),
    "draft_unknown": Refusal(
        404,
        "没有编号为 {draft} 的草稿。现有草稿见 drafts。",
        "There is no draft {draft}. Those there are: see drafts.",
    ),
    "draft_closed": Refusal(
        409, "草稿 {draft} 已经{state}，不能再改。", "Draft {draft} is already {state}."
    ),
    "nothing_to_undo": Refusal(
        409, "草稿 {draft} 没有可撤销的操作。", "There is nothing to undo in draft {draft}."
    ),
    "nothing_to_redo": Refusal(
        409, "草稿 {draft} 没有可重做的操作。", "There is nothing to redo in draft {draft}."
    ),
    "draft_stale": Refusal(
        409,
        "草稿 {draft} 建立后，“{layer}”已发布到修订 {revision}，双方都改了 {count} 个网格：{codes}。"
        "请在最新修订上重做这些网格后再导入。",
        "“{layer}” has moved on to revision {revision} since draft {draft} was made, and both changed "
        "{count} features: {codes}. Redo them on the latest revision and import again.",
    ),
    "draft_check_outdated": Refusal(
        409,
        "草稿 {draft} 检查之后，相邻或上级图层又有发布。请重新检查后再发布。",
        "Draft {draft} was checked before its neighbours or its parent layer moved on. Check it again.",
    ),
    "draft_has_faults": Refusal(
        409,
        "草稿 {draft} 还有 {errors} 个错误（{kinds}），不能发布。请修复，或逐类说明接受理由。",
        "Draft {draft} has {errors} errors ({kinds}) and can't be published. "
        "Mend them, or accept each kind by name.",
    ),
    "edits_missing": Refusal(
        404,
        "“{layer}”没有在 GIS 软件中直接编辑过的内容。",
        "Nothing of “{layer}” was edited in a GIS program.",
    ),
    "acceptance_unnamed": Refusal(
        422,
        "要带着 {kinds} 发布，必须写明由谁接受、为什么（--author、--reason）。",
        "Publishing in spite of {kinds} takes a name and a reason (--author, --reason).",
    ),
    "revision_unknown": Refusal(
        404,
        "图层“{layer}”没有修订 {revision}。现有：{known}。",
        "“{layer}” has no revision {revision}. It has: {known}.",
    ),
    "statement_unreadable": Refusal(
        422,
        "这不是可读的数据声明：{reason}。请使用 geo-service statement 写出的文件。",
        "This is not a readable statement: {reason}. Give a file that geo-service statement wrote.",
    ),
    "code_reused": Refusal(
        409,
        "编码 {codes} 曾被停用，不能再次使用。请换新编码。",
        "The codes {codes} were retired and can't be used again. Give new ones.",
    ),
    "code_unknown": Refusal(
        404, "没有编码为 {code} 的{what}。", "There is no {what} with the code {code}."
    ),
    # addresses
    "addresses_missing": Refusal(
        409,
        "数据库里还没有地址表。请先导入：geo-service addresses import 文件。",
        "The store holds no address table yet. Import one: geo-service addresses import FILE.",
    ),
    "geocoder_unknown": Refusal(
        422,
        "GEO_SERVICE_GEOCODER 里的在线地理编码“{name}”不认识，或没有密钥。写法是 名称:密钥，名称可用：{known}。",
        "The online geocoder “{name}” in GEO_SERVICE_GEOCODER is unknown, or has no key. Write NAME:KEY with one of: {known}.",
    ),
    "geocoder_missing": Refusal(
        422,
        "在线地理编码“{name}”需要 geopy：pip install geo-service[geocoders]。",
        "The online geocoder “{name}” needs geopy: pip install geo-service[geocoders].",
    ),
    "geocoder_failed": Refusal(
        409,
        "地址表里没有这个地址，在线地理编码“{name}”没有应答（{reason}）。请检查网络、密钥和配额。",
        "The table has no such address, and the online geocoder “{name}” gave no answer ({reason}). Check the network, the key and its quota.",
    ),
    "addresses_none": Refusal(
        422,
        "“{file}”里没有带门牌号的地址，也没有有名称的地点。",
        "{file} holds no address with a house number and no named place.",
    ),
    # streets and walking
    "pbf_unreadable": Refusal(
        422,
        "“{file}”不是可读的 OSM PBF 文件：{reason}。",
        "“{file}” is not a readable OSM PBF file: {reason}.",
    ),
    "streets_empty": Refusal(
        422,
        "“{file}”里没有可步行的街道。请换一个范围。",
        "“{file}” holds no walkable street. Use another extract.",
    ),
    "streets_missing": Refusal(
        409,
        "数据库里还没有街道。请先导入：geo-service streets import 文件.osm.pbf。",
        "The store holds no streets yet. Import them: geo-service streets import FILE.osm.pbf.",
    ),
    "streets_download_failed": Refusal(
        409,
        "没有从 {server} 取到街道（{reason}）。请检查网络，或用 --overpass、--nominatim 换一个地址；没有网络时，请在别的电脑下载 .osm.pbf 文件，再导入：geo-service streets import 文件。",
        "No streets came from {server} ({reason}). Check the network, or name another address (--overpass, --nominatim); without one, fetch an .osm.pbf file on another computer and import it: geo-service streets import FILE.",
    ),
    "place_unknown": Refusal(
        404,
        "没有找到有边界的“{place}”。请写得更全（省、市、区），或用 --bbox、--layer 给出范围。",
        "No place with an outline is called “{place}”. Write more of its name (province, city, district), or give the area by --bbox or --layer.",
    ),
    "street_too_far": Refusal(
        422,
        "({lon}, {lat}) 周围 {limit_m} 米内没有可步行的街道；最近的在 {distance_m} 米外。"
        "请核对坐标和坐标基准，或换一个靠近街道的点。",
        "No walkable street lies within {limit_m} m of ({lon}, {lat}); the nearest is {distance_m} m away. "
        "Check the coordinates and their datum, or take a place nearer to a street.",
    ),
    "no_route": Refusal(
        404,
        "从 ({from_lon}, {from_lat}) 步行走不到 ({to_lon}, {to_lat})：两处街道不相连。",
        "There is no walk from ({from_lon}, {from_lat}) to ({to_lon}, {to_lat}): their streets don't connect.",
    ),
    # siting
    "too_few_candidates": Refusal(
        422,
        "要选 {count} 处，但候选点只有 {candidates} 处。请减少数量或补充候选点。",
        "{count} sites are wanted but there are only {candidates} candidates. Ask for fewer or add some.",
    ),
    "demand_without_place": Refusal(
        422,
        "“{file}”没有经纬度，其编码在网格、社区图层里也一个都找不到（如“{code}”）。请核对编码，或补上经纬度两列。",
        "“{file}” has no lon and lat, and none of its codes (“{code}”) is one of the store's grids or "
        "communities. Check the codes, or add the two columns.",
    ),
    "kind_unknown": Refusal(
        422,
        "不认识设施类别“{kind}”。最接近：{nearest}。可用：{known}。",
        "“{kind}” is not a known kind of facility. Nearest: {nearest}. Known: {known}.",
    ),
    "plan_infeasible": Refusal(
        422,
        "在这些条件下没有可行方案：{reason}。",
        "No plan meets these conditions: {reason}.",
    ),
    # drawing
    "drawing_impossible": Refusal(
        422, "无法这样划分：{reason}。", "This can't be drawn: {reason}."
    ),
    # the service
    "not_loopback": Refusal(
        403,
        "没有 API 密钥时只能在本机（127.0.0.1）上服务，不能在“{host}”上。请先用 geo-service key add 建立密钥。",
        "Without API keys the service listens on this machine (127.0.0.1) only, not on “{host}”. Make a key first: geo-service key add.",
    ),
    "key_missing": Refusal(
        401,
        "这里需要密钥。请在请求头 Authorization: Bearer 或 X-API-Key 中给出，浏览器请到 /login 登录。",
        "This takes a key. Send it as Authorization: Bearer or X-API-Key; in a browser sign in at /login.",
    ),
    "key_unknown": Refusal(
        401,
        "密钥无效。请向管理员确认，或申请新的密钥。",
        "This key is not known here. Ask the administrator for one.",
    ),
    "key_closed": Refusal(
        401,
        "密钥 {prefix} 已停用或过期，请向管理员申请新的密钥。",
        "The key {prefix} was revoked or has expired. Ask the administrator for a new one.",
    ),
    "token_invalid": Refusal(
        401,
        "登录令牌无法接受：{reason}。请重新登录。",
        "The sign-in token is not accepted: {reason}. Sign in again.",
    ),
    "keys_unreadable": Refusal(
        503,
        "暂时无法核对密钥：数据库连接不上。请稍后再试。",
        "Keys can't be checked just now: the database can't be reached. Try again shortly.",
    ),
    "role_insufficient": Refusal(
        403,
        "这需要“{needed}”权限，当前密钥的权限是“{role}”。",
        "This takes the role “{needed}”; the key's role is “{role}”.",
    ),
    "area_foreign": Refusal(
        403,
        "“{area}”不在此密钥的辖区（{own}）内。规划人员只能修改自己的县区和乡镇；上传时请用 replace_within 写明辖区。",
        "“{area}” is not in the areas of this key ({own}). Planners change their own counties and townships only; name the part with replace_within.",
    ),
    "key_not_found": Refusal(
        404,
        "没有以 {prefix} 开头的密钥。用 geo-service key list 查看。",
        "No key begins with {prefix}. See geo-service key list.",
    ),
    "key_areas_wrong": Refusal(
        422,
        "辖区与“{role}”不符：规划人员（planner）的密钥必须用 --area 写明辖区，其他角色不分辖区。",
        "Areas and the role “{role}” don't go together: a planner's key needs --area, others have none.",
    ),
    "rate_limited": Refusal(
        429,
        "请求太快，此密钥每分钟最多 {per_minute} 次。请 {seconds} 秒后再试。",
        "Too many requests: this key has {per_minute} a minute. Try again in {seconds} s.",
    ),
    "disk_full": Refusal(
        507,
        "服务器磁盘已满，未保存任何内容。请管理员腾出空间后重试。",
        "The server's disk is full; nothing was kept. Have the operator free some room, then try again.",
    ),
    "body_too_slow": Refusal(
        408,
        "内容传得太慢，等了 {seconds} 秒，未接收。请检查网络后重传。",
        "The body came too slowly ({seconds} s of waiting) and was not taken. Check the network and send it again.",
    ),
    "head_too_slow": Refusal(
        408,
        "请求头等了 {seconds} 秒还没有传完，连接已关闭。请检查网络后重试。",
        "The request's head was not complete after {seconds} s; the connection is closed. Check the network and try again.",
    ),
    "setting_invalid": Refusal(
        422,
        "环境变量 {name} 的值“{value}”不能用：{reason}。说明见 docs/settings.md。",
        "The setting {name}=“{value}” can't be used: {reason}. docs/settings.md tells what can.",
    ),
    "too_many": Refusal(
        413,
        "一次最多 {limit} 个，这里有 {count} 个。请分批提交。",
        "At most {limit} at once; here are {count}. Send them in parts.",
    ),
    "not_found": Refusal(404, "没有 {what}。", "There is no {what}."),
    "parameter_missing": Refusal(
        422, "缺少参数 {name}。请补上后再试。", "{name} is missing. Give it and try again."
    ),
    "parameter_unknown": Refusal(
        400,
        "没有参数“{name}”。可用的字段：{known}。",
        "There is no parameter “{name}”. Fields one can filter by: {known}.",
    ),
    "request_malformed": Refusal(
        400, "请求无法读取：{reason}。", "The request can't be read: {reason}."
    ),
    "upload_too_large": Refusal(
        413,
        "内容超过 {limit_mb} MB，未接收。请分成几个文件。",
        "This is more than {limit_mb} MB and was not taken. Split it into several files.",
    ),
    "page_unknown": Refusal(
        404,
        "没有“{path}”这个地址。可用的地址见 /openapi.json。",
        "There is nothing at “{path}”. What there is stands in /openapi.json.",
    ),
    "method_unknown": Refusal(
        405,
        "“{path}”不支持 {method}。用法见 /openapi.json。",
        "“{path}” does not answer {method}. How to use it stands in /openapi.json.",
    ),
    "process_unknown": Refusal(
        404,
        "没有“{process}”这种计算。可用的有：{known}。",
        "There is no process “{process}”. There is: {known}.",
    ),
    "job_unknown": Refusal(
        404,
        "没有任务 {job}。它可能已被清除；请重新提交。",
        "There is no job {job}. It may have been removed; submit it again.",
    ),
    "job_not_ready": Refusal(
        404,
        "任务 {job} 没有结果（状态：{state}）。完成后再取，失败或取消的可以重新开始。",
        "Job {job} has no result (state: {state}). Ask once it is successful; a failed or "
        "dismissed one can be restarted.",
    ),
    "job_not_restartable": Refusal(
        409,
        "任务 {job} 不能重新开始（状态：{state}）。只有失败、中断或取消的任务可以。",
        "Job {job} can't be restarted (state: {state}): only one that failed, was interrupted or "
        "dismissed.",
    ),
    "job_interrupted": Refusal(
        503,
        "服务停止时任务尚未完成，没有结果。可以重新开始。",
        "The service stopped before the job was done; there is no result. It can be restarted.",
    ),
    "job_died": Refusal(
        500,
        "计算进程意外终止（可能是内存不足）。请缩小范围后重新开始。",
        "The process that computed it ended unexpectedly (out of memory, perhaps). Restart it with "
        "less at once.",
    ),
    "queue_full": Refusal(
        429,
        "已有 {limit} 个任务在排队或运行。请稍后再提交。",
        "{limit} jobs wait or run already. Submit it again later.",
    ),
    "filter_invalid": Refusal(
        400,
        "筛选条件无法理解：{reason}。请按 CQL2 书写，例如 name LIKE '第%' AND households > 300。",
        "The filter is not understood: {reason}. Write CQL2: name LIKE '1%' AND households > 300.",
    ),
    "form_unknown": Refusal(
        406,
        "不能以“{wanted}”的形式给出。可用的形式：{known}。",
        "There is no form “{wanted}” of this. There is: {known}.",
    ),
    "tile_outside": Refusal(
        404,
        "没有瓦片 {z}/{x}/{y}：该级别的行列号超出范围。",
        "There is no tile {z}/{x}/{y}: its column or row is beyond that zoom.",
    ),
    "busy": Refusal(
        503,
        "同类计算正在进行，请稍后再试。",
        "The same kind of work is under way. Try again shortly.",
    ),
    "host_refused": Refusal(
        421,
        "不以“{host}”这个名称提供服务。请用 IP 地址或 localhost 访问，或由管理员把域名写进 GEO_SERVICE_HOSTS。",
        "The service does not answer as “{host}”. Use its IP address or localhost, or have the operator add the name to GEO_SERVICE_HOSTS.",
    ),
    "origin_refused": Refusal(
        403,
        "来自“{origin}”的页面不能修改这里的数据。",
        "A page from “{origin}” may not change anything here.",
    ),
    "internal_error": Refusal(
        500,
        "服务出错了，已记入日志。请把时间和操作告诉管理员。",
        "The service failed and has logged it. Tell the operator what you did and when.",
    ),
}


class GeoServiceError(Exception):
    """An error with a stable code and a sentence in two languages.

    Parameters
    ----------
    code : str
        A key of `CATALOGUE`.
    **details : object
        What fills the sentence: file, row, code, position, known values.

    Examples
    --------
    >>> error = InputError("datum_unknown", datum="wgs 84", known="wgs84, cgcs2000, gcj02, bd09")
    >>> error.code, error.status
    ('datum_unknown', 422)
    >>> print(error.message("en"))
    “wgs 84” is not a datum. Use one of: wgs84, cgcs2000, gcj02, bd09.
    """

    def __init__(self, code: str, /, **details: object) -> None:
        self.code = code
        self.details: dict[str, object] = {
            name: because(detail) if isinstance(detail, BaseException) else detail
            for name, detail in details.items()
        }
        self._refusal = CATALOGUE[code]
        super().__init__(self.message(language()))

    @property
    def status(self) -> int:
        """The HTTP status of this error."""
        return self._refusal.status

    def message(self, lang: Language) -> str:
        """The sentence in Chinese (``"zh"``) or English (``"en"``)."""
        template = self._refusal.zh if lang == "zh" else self._refusal.en
        details = {
            name: getattr(detail, lang) if isinstance(detail, Phrase) else detail
            for name, detail in self.details.items()
        }
        return _Lenient().format(template, **details)

    def __reduce__(self) -> tuple[object, ...]:
        # Exceptions cross process borders by pickle, which would call __init__ with the sentence.
        return (_rebuild, (type(self), self.code, self.details))


_SYSTEM_ZH = {
    errno.ENOENT: "文件或文件夹不存在",
    errno.ENOTDIR: "路径中有一段不是文件夹",
    errno.EISDIR: "这是文件夹，不是文件",
    errno.EEXIST: "已经存在",
    errno.EACCES: "没有权限",
    errno.EPERM: "没有权限",
    errno.EROFS: "所在磁盘是只读的",
    errno.ENOSPC: "磁盘已满",
    errno.EDQUOT: "超过磁盘配额",
    errno.EFBIG: "文件过大",
    errno.ENAMETOOLONG: "文件名太长",
    errno.EBUSY: "文件正被占用",
    errno.EMFILE: "打开的文件太多",
    errno.EIO: "磁盘读写出错",
    errno.EADDRINUSE: "端口已被占用",
    errno.ECONNREFUSED: "对方拒绝连接",
    errno.ETIMEDOUT: "连接超时",
}
# What libraries say of damaged files, most often.
_LIBRARIES_ZH = {
    "database disk image is malformed": "数据库文件已损坏",
    "file is not a database": "不是数据库文件",
    "database is locked": "数据库正被其他程序占用",
    "unable to open database file": "数据库文件打不开",
    "attempt to write a readonly database": "数据库文件是只读的",
    "database or disk is full": "磁盘已满",
    "File is not a zip file": "不是完整的 zip 压缩包",
    "Truncated file header": "压缩包不完整",
    "Bad CRC-32": "压缩包内容已损坏",
    "No columns to parse from file": "文件里没有任何列",
    "Tokenizing data": "各行的列数不一致",
    "no blob begins at": "不是 PBF 文件，或已被截断",
}


def because(error: BaseException) -> Phrase:
    """What an exception of the system or of a library says, as a part of a sentence.

    Parameters
    ----------
    error : BaseException
        What was raised.

    Returns
    -------
    Phrase
        The system's errors in both languages; a library's words as they are where no Chinese is
        known for them, and said to be the program's.

    Examples
    --------
    >>> because(PermissionError(13, "Permission denied", "/x"))
    Phrase(zh='没有权限', en='Permission denied')
    >>> because(ValueError("odd byte")).zh
    '程序原文“odd byte”'
    """
    if isinstance(error, OSError) and error.strerror:
        told = _SYSTEM_ZH.get(error.errno or 0)
        return Phrase(told or f"程序原文“{error.strerror}”", error.strerror)
    text = (str(error).strip().splitlines() or [""])[0] or type(error).__name__
    known = next((zh for en, zh in _LIBRARIES_ZH.items() if en in text), None)
    return Phrase(known or f"程序原文“{text}”", text)


class InputError(GeoServiceError, ValueError):
    """Something that was given can't be used."""


class MissingError(GeoServiceError, LookupError):
    """Something that was asked for does not exist."""


class ConflictError(GeoServiceError, RuntimeError):
    """The state of the store forbids it."""


class NoRouteError(MissingError):
    """Two points are not joined by any walk."""


def language() -> Language:
    """The language people are spoken to: ``$GEO_SERVICE_LANG``, else the locale, else English.

    Returns
    -------
    {"zh", "en"}
    """
    chosen = (
        os.environ.get("GEO_SERVICE_LANG") or os.environ.get("LC_ALL") or os.environ.get("LANG")
    )
    return "zh" if (chosen or "").lower().startswith("zh") else "en"


class _Lenient(string.Formatter):
    """Leaves a place it has no detail for readable, so that an error never fails to be told."""

    def get_value(self, key: int | str, args: object, kwargs: object) -> object:
        details = kwargs if isinstance(kwargs, dict) else {}
        value = details.get(key, "?")
        return ", ".join(map(str, value)) if isinstance(value, list | tuple | set) else value


def _rebuild(kind: type[GeoServiceError], code: str, details: dict[str, object]) -> GeoServiceError:
    return kind(code, **details)
