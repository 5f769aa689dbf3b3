// What the page says, in both languages. {name} places are filled by say().

import { DRAWING } from "./drawing/words.js";

const WORDS = {
  ...DRAWING,
  title: ["网格地图", "Grid map"],
  synthetic: ["演示数据（虚构）SYNTHETIC", "SYNTHETIC demo data 虚构"],
  panel: ["查询", "Questions"],
  map: ["地图", "Map"],
  layers: ["图层", "Layers"],
  other_language: ["English", "中文"],
  loading: ["正在打开地图…", "Opening the map…"],
  map_failed: ["地图打不开：{reason}", "The map can't be opened: {reason}"],
  no_webgl: ["这台电脑的浏览器不能显示地图（缺少 WebGL）。左边的查询仍然可用。", "This browser can't draw the map (no WebGL). The questions beside it still work."],
  working: ["正在计算…", "Working…"],
  offline: ["连不上服务。请确认 geo-service 正在运行，再试一次。", "The service does not answer. Check that geo-service is running and try again."],
  empty_store: ["还没有发布任何图层。", "Nothing has been published yet."],

  tab_find: ["查网格", "Find"],
  tab_walk: ["步行圈", "Walk"],
  tab_circles: ["生活圈", "Circle"],
  tab_faults: ["查问题", "Check"],
  tab_sites: ["选点", "Sites"],

  find_label: ["地址，或经度和纬度", "An address, or longitude and latitude"],
  find_button: ["查找", "Find"],
  find_hint: ["也可以直接点地图。", "You can also click the map."],
  find_empty: ["请输入地址，或像 113.85, 34.03 这样的坐标。", "Type an address, or coordinates such as 113.85, 34.03."],
  datum_label: ["这个坐标来自哪里？", "Where do the coordinates come from?"],
  datum_choose: ["请选择", "Choose"],
  datum_wgs84: ["GPS 设备（WGS84 / 国家2000）", "A GPS device (WGS84 / CGCS2000)"],
  datum_gcj02: ["高德、腾讯地图（GCJ-02）", "AMap or Tencent (GCJ-02)"],
  datum_bd09: ["百度地图（BD-09）", "Baidu (BD-09)"],
  datum_needed: ["请先说明坐标来自哪里。选错会偏差约 500 到 1300 米，落到别的网格。", "Say where the coordinates come from. The wrong choice is off by 500 to 1300 m, in another grid."],
  grid: ["网格", "Grid"],
  code: ["编码", "Code"],
  belongs: ["所属", "Belongs to"],
  border: ["离最近的边界", "To the nearest border"],
  near_border: ["离边界很近，请对照下面相邻的网格。", "Close to a border: compare the neighbouring grids below."],
  others: ["附近的其他网格", "Other grids nearby"],
  households: ["户数", "Households"],
  people: ["人口", "People"],
  people_60: ["60 岁以上", "People over 60"],
  head: ["网格长", "Grid head"],
  phone: ["联系电话", "Phone"],
  revision_of: ["第 {revision} 版，{date} 起有效", "Revision {revision}, valid from {date}"],
  not_found: ["这里不在任何网格内", "This place is in no grid"],
  nearest_grid: ["最近的网格：{name}，{distance}外", "Nearest grid: {name}, {distance} away"],
  walk_from_here: ["看从这里步行多远", "See the walk from here"],
  copy: ["复制编码", "Copy the code"],
  copied: ["已复制", "Copied"],
  address_ambiguous: ["有几个地方都对得上，请写得更完整一些，或从下面选一个。", "Several places match. Say more of the address, or choose one below."],
  street_grids: ["这条路经过的网格，按门牌数", "Grids along this street, by its doors"],
  address_not_found: ["地址表里没有这个地址。请检查写法，或直接点地图。", "The address table has no such address. Check it, or click the map."],
  address_unreadable: ["这段文字读不出来，可能是乱码。请重新输入。", "This text can't be read; it looks damaged. Type it again."],
  matched: ["按地址“{address}”找到", "Found as “{address}”"],

  walk_hint: ["点地图上的一个地方，看 5、10、15 分钟能走到哪里。", "Click a place on the map to see where 5, 10 and 15 minutes on foot reach."],
  walk_who: ["谁在走？", "Who walks?"],
  walk_adult: ["成年人", "Adult"],
  walk_senior: ["老年人", "Senior"],
  walk_courier: ["骑手", "Courier"],
  walk_result: ["从这里步行", "On foot from here"],
  within: ["{minutes} 分钟内", "Within {minutes} minutes"],
  published: ["已发布", "Published"],
  published_on: ["网格第 {revision} 版，{date} 发布", "Grids: revision {revision} of {date}"],
  area: ["面积", "Area"],
  people_about: ["约 {count} 人", "about {count} people"],
  snapped: ["离最近的可步行街道 {distance}。", "{distance} from the nearest walkable street."],
  people_note: ["人口按网格平均分布估算。", "People are estimated by spreading each grid's count evenly."],
  no_streets: ["还没有导入街道，无法计算步行。", "No streets have been imported, so walks can't be computed."],

  circles_hint: ["点地图上的一个地方，看它所在的社区十五分钟内走得到什么、还缺什么。", "Click a place to see what its community can reach within fifteen minutes on foot, and what it lacks."],
  circles_unit: ["看哪一级？", "Of which level?"],
  circles_community: ["社区（村）", "Community"],
  circles_grid: ["网格", "Grid"],
  circle_here: ["看这里的生活圈", "See the life circle here"],
  circles_score: ["应有 {all} 类，达标 {within} 类，得分 {score}", "{within} of {all} categories within their limit; score {score}"],
  circles_missing: ["缺项清单（{count}）", "What is missing ({count})"],
  circles_unbuilt: ["未落地设施（{count}）", "Planned and not built ({count})"],
  circles_reached: ["走得到的（{count}）", "Within reach ({count})"],
  circles_complete: ["一项不缺。", "Nothing is missing."],
  circles_wanted_metres: ["标准：步行不超过 {distance}", "Standard: a walk of at most {distance}"],
  circles_wanted_minutes: ["标准：步行不超过 {minutes} 分钟", "Standard: at most {minutes} minutes on foot"],
  circles_nearest: ["最近的：{what}", "Nearest: {what}"],
  circles_walk: ["{name}，{distance}，约 {minutes} 分钟", "{name}, {distance}, about {minutes} min"],
  circles_none: ["附近没有", "None anywhere near"],
  circles_planned: ["已规划：{name}", "Planned: {name}"],
  circles_notes: ["说明（{count}）", "Notes ({count})"],
  no_facilities: ["还没有导入设施，无法评定生活圈。", "No facilities have been imported, so life circles can't be judged."],

  faults_what: ["检查什么？", "Check what?"],
  faults_choose: ["请选择", "Choose"],
  faults_layer: ["已发布：{layer}", "Published: {layer}"],
  faults_draft: ["草稿 {id}：{source}", "Draft {id}: {source}"],
  faults_upload: ["检查一个文件…", "Check a file…"],
  faults_upload_hint: ["压缩的 Shapefile、GeoPackage、GeoJSON 等。只检查，不会发布。", "A zipped shapefile, GeoPackage, GeoJSON and others. It is checked only, not published."],
  faults_none: ["没有发现问题。", "No faults found."],
  faults_count: ["发现 {count} 处问题", "Faults found: {count}"],
  faults_notes: ["另有说明 {count} 条，不影响发布", "Notes besides, which forbid nothing: {count}"],
  faults_covered: ["覆盖率 {percent}%", "Covered {percent}%"],
  faults_only: ["只看一类", "Show one kind"],
  faults_every: ["全部（{count}）", "All ({count})"],
  faults_more: ["只列出前 {shown} 处。", "Only the first {shown} are listed."],
  faults_profile: ["规则：{profile}", "Rules: {profile}"],
  severity_error: ["错误", "Error"],
  severity_warning: ["提醒", "Warning"],
  severity_note: ["说明", "Note"],

  sites_kind: ["要建什么？", "What is to be built?"],
  kind_rest_station: ["驿站", "Rest station"],
  kind_canteen: ["社区食堂", "Canteen"],
  sites_count: ["建几处", "How many"],
  sites_minutes: ["步行分钟", "Minutes' walk"],
  sites_button: ["计算", "Compute"],
  sites_stop: ["停止计算", "Stop"],
  sites_title: ["{kind}方案：{count} 处", "{kind}s: {count} proposed"],
  sites_none: ["还没有方案。填好上面两项，点“计算”。", "No proposal yet. Fill in the form and press Compute."],
  sites_before: ["现在", "Now"],
  sites_after: ["建成后", "With these"],
  sites_covered: ["{minutes} 分钟内走得到的比例", "Share within {minutes} minutes' walk"],
  sites_newly: ["新增覆盖 {count}", "Newly covers {count}"],
  riders: ["{count} 名骑手", "{count} riders"],
  population_60: ["{count} 位老人", "{count} people over 60"],
  population: ["{count} 人", "{count} people"],
  households_count: ["{count} 户", "{count} households"],
  sites_nearest: ["离最近的现有设施 {distance}", "{distance} from the nearest existing one"],
  sites_only: ["少了它会失去 {count}", "Without it {count} would be lost"],
  sites_proven: ["已证明：再好也多不过 {gap}%", "Proven: no plan is more than {gap}% better"],
  sites_best: ["已证明没有更好的方案", "Proven: no better plan exists"],
  site: ["方案点 {rank}", "Proposed site {rank}"],

  layer_city: ["市界", "City"],
  layer_counties: ["区县", "Counties"],
  layer_townships: ["乡镇（街道）", "Townships"],
  layer_communities: ["社区（村）", "Communities"],
  layer_grids: ["网格", "Grids"],
  layer_micro_grids: ["微网格", "Micro-grids"],
  layer_streets: ["街道", "Streets"],
  layer_facilities: ["现有设施", "Existing facilities"],
  layer_faults: ["问题", "Faults"],
  layer_sites: ["方案点", "Proposed sites"],
  layer_names: ["名称", "Names"],
  zoom_in_for: ["放大后显示", "shown when zoomed in"],

  zoom_in: ["放大", "Zoom in"],
  zoom_out: ["缩小", "Zoom out"],
  whole_city: ["看全市", "Whole city"],
  foot: ["{title} · 网格第 {revision} 版", "{title} · grids revision {revision}"],
  foot_streets: ["街道 © OpenStreetMap 贡献者", "Streets © OpenStreetMap contributors"],
  keyboard_hint: ["方向键移动地图，加减键缩放，回车查询中心点", "Arrows move the map, plus and minus zoom, Enter asks about the centre"],
  metres: ["{value} 米", "{value} m"],
  kilometres: ["{value} 公里", "{value} km"],
  km2: ["{value} 平方公里", "{value} km²"],
};

const known = ["zh", "en"];
let chosen = start();

function start() {
  const asked = new URLSearchParams(location.search).get("lang") ?? remembered();
  if (known.includes(asked)) return asked;
  return navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en";
}

function remembered() {
  try {
    return localStorage.getItem("lang");
  } catch {
    return null; // storage can be forbidden
  }
}

export const language = () => chosen;

/** Speak another language from now on. */
export function speak(lang) {
  chosen = lang;
  try {
    localStorage.setItem("lang", lang);
  } catch {
    // the choice then lasts for this page only
  }
  translate();
}

/** A sentence of the page. */
export function say(word, places = {}) {
  const pair = WORDS[word];
  if (!pair) return word;
  return pair[known.indexOf(chosen)].replace(/\{(\w+)\}/g, (_, name) => places[name] ?? "");
}

export const knows = (word) => word in WORDS;

/** Put the chosen language into every element that names its word. */
export function translate() {
  document.documentElement.lang = chosen === "zh" ? "zh-CN" : "en";
  document.title = say("title");
  for (const element of document.querySelectorAll("[data-word]")) {
    element.textContent = say(element.dataset.word);
  }
  for (const element of document.querySelectorAll("[data-word-label]")) {
    element.setAttribute("aria-label", say(element.dataset.wordLabel));
  }
}

export function count(value) {
  return new Intl.NumberFormat(chosen === "zh" ? "zh-CN" : "en").format(Math.round(value));
}

export function metres(value) {
  if (value < 1000) return say("metres", { value: value < 10 ? value.toFixed(1) : Math.round(value) });
  return say("kilometres", { value: (value / 1000).toFixed(value < 10000 ? 2 : 1) });
}

export const squareKilometres = (m2) => say("km2", { value: (m2 / 1e6).toFixed(2) });

/** The day of a timestamp. */
export function day(text) {
  return String(text ?? "").slice(0, 10);
}
