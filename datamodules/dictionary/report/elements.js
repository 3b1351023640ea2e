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

const COLORS = 11;
const SIGNS = [ // of equal area, around the middle of a square of 16
  "M8 1.6a6.4 6.4 0 1 0 .01 0z", "M2.3 2.3h11.4v11.4H2.3z", "M8 .4l8.4 14.6H-.4z",
  "M8 0l8 8-8 8-8-8z",
];

/** Colors and signs turn together: no pair of them comes twice among 44 attributes. */
const signOf = (place) => (place < 0 ? 0 : place % SIGNS.length);

/** The mark of an attribute, or of a cluster: one of eleven colors and four signs. */
function sign(place) {
  const drawn = document.getElementById("sign").content.firstElementChild.cloneNode(true);
  drawn.firstElementChild.setAttribute("d", SIGNS[signOf(place)]);
  const tint = place < 0 ? "no-tint" : `tint-${place % COLORS}`;
  return element("span", { class: `sign ${tint}`, "aria-hidden": "true" }, drawn);
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
