// Building elements without ever parsing text as HTML.

/** An element with properties and children; children may be text, elements, or nothing. */
export function el(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name in element) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export const byId = (id) => document.getElementById(id);

/** Show children in place of what an element held. */
export function fill(element, ...children) {
  element.replaceChildren(...children.flat().filter(Boolean));
}

/** The same where somebody may be busy: what had the focus has it again, found by its id. */
export function refill(element, ...children) {
  const { id } = element.contains(document.activeElement) ? document.activeElement : {};
  fill(element, ...children);
  if (id) byId(id)?.focus({ preventScroll: true });
}

/** On a phone an answer stands below its question: bring it into sight. */
export function bringUp(answer) {
  if (matchMedia("(max-width: 700px)").matches) answer.scrollIntoView({ block: "start" });
}

/** Name and value, one under the other. */
export function facts(pairs) {
  const rows = pairs.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return el("dl", { className: "facts" }, rows.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
}
