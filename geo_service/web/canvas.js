// The map itself: MapLibre, told in the few verbs the page needs.

import { el } from "./dom.js";
import { install } from "./glyphs.js";
import { FONT, SWITCHES, build, tiles } from "./mapstyle.js";
import { say } from "./words.js";

const EMPTY = { type: "FeatureCollection", features: [] };
const NEAR_ZOOM = 15.2, FAR_ZOOM = 11;
const CLICK_PX = 4; // a pointer that moved further has dragged
const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;

/** Open the map of a city; rejects where the browser can't draw one. */
export async function open(city) {
  const maplibre = globalThis.maplibregl;
  install(maplibre, FONT);
  const map = new maplibre.Map({
    container: "map",
    style: build(city),
    bounds: city.bounds,
    fitBoundsOptions: { padding: 24 },
    attributionControl: false,
    localIdeographFontFamily: FONT,
    dragRotate: false,
    pitchWithRotate: false,
    touchPitch: false,
    maxZoom: 19,
    fadeDuration: calm ? 0 : 150,
    locale: {
      "NavigationControl.ZoomIn": say("zoom_in"),
      "NavigationControl.ZoomOut": say("zoom_out"),
      "Map.Title": say("keyboard_hint"),
    },
  });
  map.touchZoomRotate.disableRotation();
  map.keyboard.disableRotation();
  map.addControl(new maplibre.NavigationControl({ showCompass: false }), "top-right");
  map.addControl(new maplibre.ScaleControl({ maxWidth: 110 }), "bottom-left");
  // From afar numbered markers shrink, so that neighbours stay apart.
  const scale = () => map.getContainer().classList.toggle("far", map.getZoom() < FAR_ZOOM);
  map.on("zoom", scale);
  scale();
  await new Promise((done) => map.once("load", done));
  return verbs(map, maplibre);
}

function verbs(map, maplibre) {
  let pin = null;

  /** Show GeoJSON in one of the answer sources; nothing clears it. */
  function put(source, data) {
    map.getSource(source)?.setData(data ?? EMPTY);
  }

  /** Put the one marker that says "here". */
  function mark(place) {
    pin ??= new maplibre.Marker({ element: el("div", { className: "here" }), anchor: "bottom" });
    pin.setLngLat(place).addTo(map);
  }

  function marked() {
    const at = pin?.getLngLat();
    return at ? [at.lng, at.lat] : null;
  }

  /** A numbered marker that can be pressed; gives the MapLibre marker. */
  function numbered(place, { className, text, label, onclick }) {
    const element = el("button", { type: "button", className: `pin ${className}`, ariaLabel: label, onclick }, text);
    element.addEventListener("click", (event) => event.stopPropagation());
    return new maplibre.Marker({ element }).setLngLat(place).addTo(map);
  }

  /** Bring GeoJSON into view. */
  function fit(data) {
    const box = bounds(data);
    if (box) map.fitBounds(box, { padding: 48, maxZoom: 16.5, animate: !calm, duration: 700 });
  }

  /** Fly to a place, or to all of a feature. */
  function flyTo(target, { zoom = NEAR_ZOOM } = {}) {
    if (!Array.isArray(target)) return fit(target);
    return map.flyTo({ center: target, zoom: Math.max(zoom, map.getZoom()), animate: !calm, duration: 900 });
  }

  /** Hear of clicks on the map, and of Enter, which asks about its centre. */
  function asked(handler) {
    map.on("click", (event) => {
      if (!event.defaultPrevented) handler([event.lngLat.lng, event.lngLat.lat]);
    });
    map.getCanvas().addEventListener("keydown", (event) => {
      if (event.key !== "Enter") return;
      const { lng, lat } = map.getCenter();
      handler([lng, lat]);
    });
  }

  function whenClicked(layer, handler) {
    map.on("click", layer, (event) => {
      event.preventDefault();
      handler(event.features[0]);
    });
    map.on("mouseenter", layer, () => { map.getCanvas().style.cursor = "pointer"; });
    map.on("mouseleave", layer, () => { map.getCanvas().style.cursor = ""; });
  }

  function visible(layers, on) {
    for (const layer of layers) {
      if (map.getLayer(layer)) map.setLayoutProperty(layer, "visibility", on ? "visible" : "none");
    }
  }

  /** Show the facilities of one kind from afar; of none, where no kind is given. */
  function existing(kind) {
    if (map.getLayer("existing")) map.setFilter("existing", ["==", ["get", "kind"], kind ?? ""]);
  }

  /** Hear of the pointer for drawing: where it is, what it grabs and lets go, and double clicks. */
  function whenDrawn({ moved, grabbed, dropped, doubleClicked }) {
    const at = (event) => [event.lngLat.lng, event.lngLat.lat];
    let from = null;
    map.on("mousemove", (event) => moved(at(event)));
    map.on("mousedown", (event) => {
      if (event.originalEvent.button || !grabbed(at(event))) return;
      from = event.point;
      map.dragPan.disable();
    });
    map.on("mouseup", (event) => {
      if (!from) return;
      const far = from.dist(event.point) > CLICK_PX;
      from = null;
      map.dragPan.enable();
      if (far) dropped(at(event));
    });
    map.on("dblclick", () => doubleClicked());
  }

  function doubleClickZooms(on) {
    if (on) map.doubleClickZoom.enable();
    else map.doubleClickZoom.disable();
  }

  const pixel = (place) => {
    const { x, y } = map.project(place);
    return [x, y];
  };

  const pixelsApart = (one, other) => Math.hypot(...pixel(one).map((value, i) => value - pixel(other)[i]));

  const centre = () => map.getCenter().toArray();

  const holdsFocus = () => document.activeElement === map.getCanvas();

  /** Whether all of a feature is in view. */
  function sees(feature) {
    const [west, south, east, north] = bounds(feature);
    const view = map.getBounds();
    return view.contains([west, south]) && view.contains([east, north]);
  }

  /** The drawn lines of a layer about a place, as lists of places. */
  function linesNear(layer, place, pixels) {
    if (!map.getLayer(layer)) return [];
    const [x, y] = pixel(place);
    const found = map.queryRenderedFeatures([[x - pixels, y - pixels], [x + pixels, y + pixels]], { layers: [layer] });
    return found.flatMap(({ geometry: { type, coordinates } }) => (type === "MultiLineString" ? coordinates : [coordinates]));
  }

  /** Hide what is published within a code, which a draft stands in for; null: all; undefined: nothing. */
  function hideWithin(layer, code) {
    const prefix = ["slice", ["get", "code"], 0, code?.length ?? 0];
    const filter = code === undefined ? null : ["!=", prefix, code ?? ""];
    for (const id of SWITCHES[layer]) if (map.getLayer(id)) map.setFilter(id, filter);
  }

  /** Show a layer's tiles of another revision. */
  function renew(layer, revision) {
    map.getSource(layer)?.setTiles([tiles(layer, revision)]);
  }

  return {
    asked, centre, doubleClickZooms, existing, fit, flyTo, focus: () => map.getCanvas().focus(), gl: map, hideWithin,
    holdsFocus, linesNear, mark, marked, pin: numbered, pixel, pixelsApart, put, renew, sees, visible, whenClicked, whenDrawn,
    zoom: () => map.getZoom(),
  };
}

function bounds(data) {
  const box = [Infinity, Infinity, -Infinity, -Infinity];
  const walk = (coordinates) => {
    if (typeof coordinates?.[0] === "number") {
      const [x, y] = coordinates;
      box[0] = Math.min(box[0], x);
      box[1] = Math.min(box[1], y);
      box[2] = Math.max(box[2], x);
      box[3] = Math.max(box[3], y);
    } else coordinates?.forEach(walk);
  };
  const parts = data.features ?? [data];
  for (const part of parts) walk((part.geometry ?? part).coordinates);
  return box[0] <= box[2] ? box : null;
}
