// Elements of the page. Words are only ever set as text, never read as HTML.

/** An element with attributes and children; null and false children are left out. */
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(name, value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== null && value !== false) made.setAttribute(name, value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== false));
  return made;
}

const button = (attributes, ...children) =>
  element("button", { type: "button", ...attributes }, ...children);

/** Text of the data, kept from turning its surroundings around, with what was searched marked. */
const bdi = (text) => element("bdi", {}, ...marked(text));

/** A word that shows its details when pressed. */
const wordButton = (row) => button({ class: "word", "data-row": row }, bdi(textOf(row)));

const COLORS = 8;
const SIGNS = ["\u25cf", "\u25a0", "\u25b2", "\u25c6"];

/** The mark of an attribute, or of a cluster: one of eight colors and four signs. */
function sign(place) {
  return element(
    "span",
    { class: `sign ${place < 0 ? "no-tint" : `tint-${place % COLORS}`}`, "aria-hidden": "true" },
    place < 0 ? SIGNS[0] : SIGNS[Math.floor(place / COLORS) % SIGNS.length],
  );
}

/** A bar as long as `share` of its cell. */
function bar(share) {
  const drawn = element("i");
  drawn.style.width = `${(100 * share).toFixed(1)}%`;
  return drawn;
}

/** Elements joined by a separator. */
function joined(parts, separator) {
  return parts.flatMap((part, place) => (place ? [separator, part] : [part]));
}
