// Where words stand on the map and on the screen, and which one is under a finger.

const plane = { width: 1, height: 1, zoom: 1, dx: 0, dy: 0, sx: 1, sy: 1, midX: 0, midY: 0 };
const xOf = column("x", null);
const yOf = column("y", null);
const MOST_ZOOM = 400;
const MARGIN = 28;
const STRETCH = 1.6;
const INKED = 0.06; // share of the map that all marks cover
const LARGEST = 7; // pixels, radius of a mark of usual size

/** Rows on the map: values before words left out, frequent ones first. */
const placed = [];
for (let row = 0; row < numWords; row++) if (xOf(row) !== null) placed.push(row);
placed.sort((one, two) =>
  (attributeOf(one) < 0) - (attributeOf(two) < 0) || countOf(two) - countOf(one) || one - two);

const screenX = new Float32Array(numWords);
const screenY = new Float32Array(numWords);
const aside = { x: new Float32Array(numWords), y: new Float32Array(numWords) };
const radius = new Float32Array(numWords);

/** One word under several attributes has one place: its marks stand around it, in pixels. */
function spread() {
  const taken = new Map();
  for (const row of placed) {
    // No two places share a number: both are steps of .001 between -10 and 10.
    const place = xOf(row) * 1e5 + yOf(row);
    const turn = taken.get(place) ?? 0;
    taken.set(place, turn + 1);
    aside.x[row] = 9 * Math.sqrt(turn) * Math.cos(2.4 * turn);
    aside.y[row] = 9 * Math.sqrt(turn) * Math.sin(2.4 * turn);
  }
}

/**
 * Area by the logarithm of the count, as a multiple of its mean: however many words there are and
 * however often they are met, their marks together cover the same small share of the map.
 */
function size() {
  const weight = (row) => Math.log1p(countOf(row));
  const mean = sum(placed, weight) / placed.length || 1;
  const room = (plane.width * plane.height) / Math.max(1, placed.length);
  const usual = Math.min(LARGEST, Math.sqrt((INKED * room) / Math.PI));
  for (const row of placed) {
    radius[row] = Math.max(1.1, usual * Math.sqrt(weight(row) / mean));
  }
}

/** Whether some word on the map is met more often than another. */
const marksDiffer = () => placed.some((row) => countOf(row) !== countOf(placed[0]));

/** The scale at which all words fit; wide screens stretch the map a little. */
function fit() {
  const range = (of) => placed.reduce(
    ([low, high], row) => [Math.min(low, of(row)), Math.max(high, of(row))], [1e9, -1e9]);
  const [left, right] = range(xOf);
  const [bottom, top] = range(yOf);
  plane.midX = (left + right) / 2;
  plane.midY = (bottom + top) / 2;
  const across = (plane.width - 2 * MARGIN - 40) / Math.max(right - left, 1e-3);
  const up = (plane.height - 2 * MARGIN) / Math.max(top - bottom, 1e-3);
  const least = Math.min(across, up);
  plane.sx = Math.min(across, least * STRETCH);
  plane.sy = Math.min(up, least * STRETCH);
}

function project() {
  const { width, height, zoom, dx, dy, sx, sy, midX, midY } = plane;
  for (const row of placed) {
    screenX[row] = width / 2 + (xOf(row) - midX) * sx * zoom + dx + aside.x[row];
    screenY[row] = height / 2 - (yOf(row) - midY) * sy * zoom + dy + aside.y[row];
  }
}

const markRadius = (row) => radius[row] * plane.zoom ** 0.2;

const isInside = (row) =>
  screenX[row] > -20 && screenX[row] < plane.width + 20 &&
  screenY[row] > -20 && screenY[row] < plane.height + 20;

/** Zoom by a factor and keep the point (x, y) of the screen where it is. */
function zoomAt(factor, x = plane.width / 2, y = plane.height / 2) {
  const zoom = Math.min(MOST_ZOOM, Math.max(1, plane.zoom * factor));
  const real = zoom / plane.zoom;
  plane.dx = (plane.dx + plane.width / 2 - x) * real + x - plane.width / 2;
  plane.dy = (plane.dy + plane.height / 2 - y) * real + y - plane.height / 2;
  plane.zoom = zoom;
  hold();
}

function moveBy(dx, dy) {
  plane.dx += dx;
  plane.dy += dy;
  hold();
}

/** Keep a part of the map in sight. */
function hold() {
  const reachX = (plane.width / 2) * plane.zoom;
  const reachY = (plane.height / 2) * plane.zoom;
  plane.dx = Math.max(-reachX, Math.min(reachX, plane.dx));
  plane.dy = Math.max(-reachY, Math.min(reachY, plane.dy));
  if (plane.zoom === 1) plane.dx = plane.dy = 0;
}

function showWhole() {
  Object.assign(plane, { zoom: 1, dx: 0, dy: 0 });
}

/** The visible word whose mark is nearest to a point of the screen, or -1. */
function wordAt(x, y, isVisible, reach) {
  let best = -1;
  let least = Infinity;
  for (const row of placed) {
    const far = Math.hypot(screenX[row] - x, screenY[row] - y) - markRadius(row);
    if (far < reach && far < least && isVisible(row)) {
      best = row;
      least = far;
    }
  }
  return best;
}

/** The nearest visible word in a direction (each -1, 0 or 1) from another one, or that one. */
function wordTowards(from, right, down, isVisible) {
  let best = from;
  let least = Infinity;
  for (const row of placed) {
    const x = screenX[row] - screenX[from];
    const y = screenY[row] - screenY[from];
    const ahead = x * right + y * down;
    const off = Math.abs(x * down) + Math.abs(y * right);
    if (row !== from && ahead > 0.5 && off <= 2 * ahead && isVisible(row)) {
      const far = ahead + 2 * off;
      if (far < least) [best, least] = [row, far];
    }
  }
  return best;
}
