// Names on the map: every attribute gets its turn, and no name covers another or a word's mark.

const NAME_AREA = 7500; // square pixels of the map to each name
const GRAIN = 200; // square pixels of the map to each mark
const NAME_TALL = 14;
const CELL = 32;
const widths = new Map();

/** Rows by how well they stand for their key: the frequent, then the centers of large groups. */
function byFame(rows) {
  const centers = new Map();
  for (const { groups, center } of data.attributes) {
    for (const [at, { medoid }] of groups.entries()) centers.set(medoid, groups.length - at);
    if (center >= 0) centers.set(center, groups.length + 1);
  }
  const fame = (row) => centers.get(row) ?? 0;
  return [...rows].sort((one, two) =>
    countOf(two) - countOf(one) || fame(two) - fame(one) || one - two);
}

/**
 * The map's keys in turn, one word of each a round, those of few words first: these have the least
 * choice. Words of no attribute or cluster come last.
 */
function* inTurn() {
  const shown = chart.keys.filter(({ key }) => !chart.hidden.has(key));
  for (const keys of [shown.filter(({ key }) => key >= 0), shown.filter(({ key }) => key < 0)]) {
    keys.sort((one, two) => one.famous.length - two.famous.length);
    const queues = keys.map(({ famous }) => famous.values());
    for (let open = queues.length; open > 0;) {
      open = 0;
      for (const queue of queues) {
        const row = nextInSight(queue);
        if (row < 0) continue;
        open++;
        yield row;
      }
    }
  }
}

function nextInSight(queue) {
  for (const row of queue) if (isHit(row) && isInside(row)) return row;
  return -1;
}

/**
 * The marks in sight that no name may cover, by the cells of a grid they touch. Marks too close
 * together to leave room for any name are a grain that names may cover, until the map is zoomed.
 */
function gridOfMarks() {
  const cells = new Map();
  const rows = placed.filter((row) => isShown(row) && isInside(row));
  if (plane.width * plane.height < GRAIN * rows.length) return cells;
  for (const row of rows) {
    for (const cell of cellsOf(markBox(row))) {
      if (cells.has(cell)) cells.get(cell).push(row);
      else cells.set(cell, [row]);
    }
  }
  return cells;
}

function markBox(row) {
  const r = markRadius(row);
  const [x, y] = [screenX[row], screenY[row]];
  return { left: x - r, right: x + r, top: y - r, bottom: y + r };
}

function* cellsOf({ left, right, top, bottom }) {
  for (let x = Math.floor(left / CELL); x <= Math.floor(right / CELL); x++) {
    for (let y = Math.floor(top / CELL); y <= Math.floor(bottom / CELL); y++) yield x * 1e4 + y;
  }
}

const overlap = (one, two) => one.left < two.right && two.left < one.right &&
  one.top < two.bottom && two.top < one.bottom;

/** Right of the mark, left of it, above and below. */
function boxesOf(row) {
  const name = textOf(row);
  if (!widths.has(name)) widths.set(name, pen.measureText(name).width);
  const wide = widths.get(name);
  const [x, y, r] = [screenX[row], screenY[row], markRadius(row) + 3];
  const half = NAME_TALL / 2;
  const corners = [
    [x + r, y - half], [x - r - wide, y - half],
    [x - wide / 2, y - r - NAME_TALL], [x - wide / 2, y + r],
  ];
  return corners.map(([left, top]) =>
    ({ row, left, top, right: left + wide, bottom: top + NAME_TALL }));
}

const isOnMap = ({ left, right, top, bottom }) =>
  left > 2 && right < plane.width - 2 && top > 0 && bottom < plane.height;

function isFree(box, names, marks) {
  if (!isOnMap(box) || names.some((name) => overlap(box, name))) return false;
  for (const cell of cellsOf(box)) {
    for (const row of marks.get(cell) ?? []) {
      if (row !== box.row && overlap(box, markBox(row))) return false;
    }
  }
  return true;
}

/** Boxes of the names that have room. */
function placeNames() {
  const most = (plane.width * plane.height) / NAME_AREA;
  const marks = gridOfMarks();
  const names = [];
  let tries = 20 * most;
  for (const row of inTurn()) {
    if (names.length >= most || tries-- < 0) break;
    const box = boxesOf(row).find((each) => isFree(each, names, marks));
    if (box) names.push(box);
  }
  return names;
}

function drawNames() {
  pen.font = `500 12px ${chart.font}`;
  pen.textBaseline = "middle";
  pen.lineJoin = "round";
  chart.names = placeNames();
  for (const { row, left, top } of chart.names) {
    pen.lineWidth = 3;
    pen.strokeStyle = chart.colors.raised;
    pen.strokeText(textOf(row), left, top + NAME_TALL / 2);
    pen.fillStyle = attributeOf(row) < 0 ? chart.colors.soft : chart.colors.ink;
    pen.fillText(textOf(row), left, top + NAME_TALL / 2);
  }
}
