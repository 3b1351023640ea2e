// Mouse, fingers and keys on the map.

const frame = canvas.parentElement;
const fingers = new Map();
let pulled = 0;
let between = 0;

function point(event) {
  const box = canvas.getBoundingClientRect();
  return [event.clientX - box.left, event.clientY - box.top];
}

/** Point at a word, or with -1 at none; `aloud` tells it to who cannot see the map. */
function pointAt(row, aloud = false) {
  if (aloud && row >= 0) {
    document.getElementById("said").textContent = `${textOf(row)}, ${numbersLine(row)}`;
  }
  if (row === chart.spot) return;
  chart.spot = row;
  frame.classList.toggle("over", row >= 0);
  redraw();
}

/** One finger scrolls the page past the whole map, and moves a map that is zoomed in. */
function settleTouch() {
  canvas.style.touchAction = plane.zoom > 1 ? "none" : "pan-y";
}

function zoomTo(factor, x, y) {
  zoomAt(factor, x, y);
  settleTouch();
  redraw();
}

const spanOfFingers = () => {
  const [one, two] = [...fingers.values()];
  return Math.hypot(one[0] - two[0], one[1] - two[1]);
};

canvas.addEventListener("pointerdown", (event) => {
  canvas.setPointerCapture(event.pointerId);
  fingers.set(event.pointerId, point(event));
  pulled = 0;
  if (fingers.size === 2) between = spanOfFingers();
});

canvas.addEventListener("pointermove", (event) => {
  const [x, y] = point(event);
  const last = fingers.get(event.pointerId);
  if (!last) {
    pointAt(wordAt(x, y, isShown, 6));
    return;
  }
  fingers.set(event.pointerId, [x, y]);
  pulled += Math.abs(x - last[0]) + Math.abs(y - last[1]);
  if (fingers.size === 2) {
    const span = spanOfFingers();
    const [one, two] = [...fingers.values()];
    zoomTo(span / Math.max(between, 1), (one[0] + two[0]) / 2, (one[1] + two[1]) / 2);
    between = span;
  } else if (pulled > 4) {
    frame.classList.add("held");
    pointAt(-1);
    moveBy(x - last[0], y - last[1]);
    redraw();
  }
});

function lift(event) {
  const held = fingers.delete(event.pointerId);
  frame.classList.remove("held");
  if (event.type !== "pointerup" || !held || pulled > 4 || fingers.size) return;
  const row = wordAt(...point(event), isShown, event.pointerType === "mouse" ? 6 : 16);
  pointAt(row);
  if (row >= 0) showWord(row);
}

canvas.addEventListener("pointerup", lift);
canvas.addEventListener("pointercancel", lift);
canvas.addEventListener("pointerleave", () => pointAt(-1));
canvas.addEventListener("dblclick", (event) => zoomTo(2, ...point(event)));
canvas.addEventListener("wheel", (event) => {
  if (!event.ctrlKey && !event.metaKey) return;
  event.preventDefault();
  zoomTo(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.004)), ...point(event));
}, { passive: false });

const ARROWS = {
  ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1],
};

/** The word pointed at, moved one step; the first step goes to the most frequent word in sight. */
function step(right, down) {
  const from = chart.spot >= 0 && isShown(chart.spot) ? chart.spot : -1;
  const first = placed.find((row) => isShown(row) && isInside(row)) ?? placed.find(isShown) ?? -1;
  const next = from < 0 ? first : wordTowards(from, right, down, isShown);
  if (next >= 0) bringIntoSight(next);
  pointAt(next, true);
}

function bringIntoSight(row) {
  const inset = 40;
  const outX = Math.min(0, screenX[row] - inset) + Math.max(0, screenX[row] + inset - plane.width);
  const outY = Math.min(0, screenY[row] - inset) + Math.max(0, screenY[row] + inset - plane.height);
  if (plane.zoom > 1) moveBy(-outX, -outY);
}

canvas.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const keys = {
    "+": () => zoomTo(1.5), "=": () => zoomTo(1.5), "-": () => zoomTo(1 / 1.5), 0: whole,
    Enter: () => chart.spot >= 0 && showWord(chart.spot),
  };
  const act = ARROWS[event.key] ? () => step(...ARROWS[event.key]) : keys[event.key];
  if (!act) return;
  event.preventDefault();
  act();
});
canvas.addEventListener("blur", () => pointAt(-1));

function whole() {
  showWhole();
  settleTouch();
  redraw();
}

document.getElementById("closer").addEventListener("click", () => zoomTo(1.6));
document.getElementById("farther").addEventListener("click", () => zoomTo(1 / 1.6));
document.getElementById("whole").addEventListener("click", whole);
