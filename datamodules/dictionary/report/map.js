// Drawing the map: marks, names, and the word that is pointed at.

const canvas = document.getElementById("canvas");
const pen = canvas.getContext("2d");
const tip = document.getElementById("tip");
const chart = {
  hidden: new Set(), keyOf: attributeOf, keys: [], names: [], spot: -1, colors: {}, font: "",
};
let asked = 0;

const isShown = (row) => !chart.hidden.has(chart.keyOf(row)) && isHit(row);

function readColors() {
  const style = getComputedStyle(document.documentElement);
  const read = (name) => style.getPropertyValue(`--${name}`).trim();
  const names = ["paper", "raised", "ink", "soft", "accent", "no-tint", "other"];
  for (const name of names) chart.colors[name] = read(name);
  chart.colors.tints = Array.from({ length: COLORS }, (_, place) => read(`tint-${place}`));
  chart.font = getComputedStyle(document.body).fontFamily;
}

/** Fit the canvas to its place on the page, in the screen's own pixels. */
function resize() {
  const { clientWidth, clientHeight } = canvas;
  if (!clientWidth) return;
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.round(clientWidth * ratio);
  canvas.height = Math.round(clientHeight * ratio);
  plane.width = clientWidth;
  plane.height = clientHeight;
  size();
  fit();
  hold();
  draw();
}

function redraw() {
  cancelAnimationFrame(asked);
  asked = requestAnimationFrame(draw);
}

function draw() {
  project();
  const ratio = canvas.width / plane.width;
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, plane.width, plane.height);
  for (const key of [...chart.keys].reverse()) {
    if (chart.hidden.has(key.key)) continue;
    if (search.hits) drawMarks(key, key.rows.filter((row) => !isHit(row)), 0.1);
    const rows = search.hits ? key.rows.filter(isHit) : key.rows;
    drawMarks(key, rows, key.key < 0 ? 0.75 : 0.9);
  }
  drawNames();
  for (const row of [shownRow, chart.spot]) if (row >= 0 && xOf(row) !== null) drawRing(row);
  placeTip();
}

function drawMarks(key, rows, alpha) {
  pen.globalAlpha = alpha;
  pen.fillStyle = colorOf(key);
  pen.beginPath();
  const trace = TRACES[signOf(key.place)];
  for (const row of rows) if (isInside(row)) trace(screenX[row], screenY[row], markRadius(row));
  pen.fill();
  if (placed.length < 5000) {
    pen.lineWidth = 1;
    pen.strokeStyle = chart.colors.raised;
    pen.stroke();
  }
  pen.globalAlpha = 1;
}

function colorOf(key) {
  if (key.place < 0) return key.key === -1 ? chart.colors["no-tint"] : chart.colors.other;
  return chart.colors.tints[key.place % COLORS];
}

/** The four signs, of equal area: disc, square, triangle, diamond. */
const TRACES = [
  (x, y, r) => {
    pen.moveTo(x + r, y);
    if (r < 1.6) pen.rect(x - r, y - r, 2 * r, 2 * r);
    else pen.arc(x, y, r, 0, 2 * Math.PI);
  },
  (x, y, r) => pen.rect(x - 0.89 * r, y - 0.89 * r, 1.77 * r, 1.77 * r),
  (x, y, r) => polygon(x, y + 0.2 * r, 1.55 * r, 3),
  (x, y, r) => polygon(x, y, 1.25 * r, 4),
];

function polygon(x, y, r, corners) {
  for (let corner = 0; corner < corners; corner++) {
    const turn = (2 * Math.PI * corner) / corners - Math.PI / 2;
    pen[corner ? "lineTo" : "moveTo"](x + r * Math.cos(turn), y + r * Math.sin(turn));
  }
  pen.closePath();
}

function drawRing(row) {
  pen.lineWidth = 2;
  pen.strokeStyle = chart.colors.ink;
  pen.beginPath();
  pen.arc(screenX[row], screenY[row], markRadius(row) + 3.5, 0, 2 * Math.PI);
  pen.stroke();
}

/** One line about a word: its place and its numbers. */
function numbersLine(row) {
  const attribute = attributeOf(row);
  const parts = [
    attribute < 0 ? `left out: ${reasonOf(row)}` : data.attributes[attribute].name,
    groupRecord(row)?.label ?? "",
    ...mentions(countOf(row)),
    isWeighed(row) && has("score") ? `score ${decimal(scoreOf(row))}` : "",
    isWeighed(row) && has("margin") ? `margin ${decimal(marginOf(row))}` : "",
  ];
  return parts.filter(Boolean).join(" \u00b7 ");
}

function placeTip() {
  const row = chart.spot;
  tip.hidden = row < 0;
  if (row < 0) return;
  const name = element("b", {}, element("bdi", {}, textOf(row)));
  tip.replaceChildren(name, element("span", {}, numbersLine(row)));
  const left = Math.min(screenX[row] + 14, plane.width - tip.offsetWidth - 8);
  const under = screenY[row] + markRadius(row) + 10;
  const above = screenY[row] - markRadius(row) - 10 - tip.offsetHeight;
  const top = under + tip.offsetHeight < plane.height ? under : Math.max(4, above);
  tip.style.transform = `translate(${Math.max(8, left)}px, ${top}px)`;
}
