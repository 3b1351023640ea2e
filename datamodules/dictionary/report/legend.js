// The legend of the map: what the colors stand for, and which of them are drawn.

const CLUSTERS = 20;
const OTHER = -2;

/** Attributes as colors, words left out in gray. */
function attributeKeys() {
  const keys = data.attributes.map((each, key) => ({ key, place: key, name: each.name }));
  return { keyOf: attributeOf, keys: [...keys, { key: -1, place: -1, name: "left out" }] };
}

/** The largest clusters of HDBSCAN alone as colors, each named by its two most frequent words. */
function clusterKeys() {
  const rows = new Map();
  for (const row of placed) {
    const cluster = clusterOf(row);
    if (cluster === null || cluster < 0) continue;
    if (!rows.has(cluster)) rows.set(cluster, []);
    rows.get(cluster).push(row);
  }
  const largest = [...rows].sort((one, two) => two[1].length - one[1].length || one[0] - two[0]);
  const ranks = new Map(largest.map(([cluster], rank) => [cluster, rank]));
  const keys = largest.slice(0, CLUSTERS).map(([, members], key) => ({
    key, place: key, name: members.slice(0, 2).map(textOf).join(", "),
  }));
  const keyOf = (row) => {
    const rank = ranks.get(clusterOf(row)) ?? -1;
    return rank < CLUSTERS ? rank : OTHER;
  };
  return {
    keyOf,
    keys: [
      ...keys,
      { key: OTHER, place: -1, name: "smaller clusters" },
      { key: -1, place: -1, name: "noise" },
    ],
  };
}

function colorBy({ keyOf, keys }) {
  const rows = new Map(keys.map(({ key }) => [key, []]));
  for (const row of placed) rows.get(keyOf(row)).push(row);
  chart.keyOf = keyOf;
  chart.keys = keys.map((each) => ({ ...each, rows: rows.get(each.key) }))
    .filter((each) => each.rows.length)
    .map((each) => ({ ...each, famous: byFame(each.rows) }));
  chart.hidden.clear();
  drawLegend();
  redraw();
}

function drawLegend() {
  const entries = chart.keys.map((each) => {
    const mark = sign(each.place);
    if (each.key === OTHER) mark.className = "sign other";
    return button(
      { class: "entry", "aria-pressed": "true", "data-key": each.key, click: () => toggle(each) },
      mark, element("bdi", {}, each.name), element("small", {}, number(each.rows.length)),
    );
  });
  const both = element("div", { class: "both" },
    button({ click: () => hideOnly([]) }, "All"),
    button({ click: () => hideOnly(chart.keys.map((each) => each.key)) }, "None"));
  document.getElementById("legend").replaceChildren(...entries, chart.keys.length > 2 ? both : "");
}

function toggle({ key }) {
  if (!chart.hidden.delete(key)) chart.hidden.add(key);
  pressLegend();
}

function hideOnly(keys) {
  chart.hidden = new Set(keys);
  pressLegend();
}

function pressLegend() {
  for (const entry of document.querySelectorAll("#legend .entry")) {
    entry.setAttribute("aria-pressed", String(!chart.hidden.has(Number(entry.dataset.key))));
  }
  redraw();
}

/** Counts of the words that match the search. */
function countLegend() {
  for (const each of chart.keys) {
    const entry = document.querySelector(`#legend [data-key="${each.key}"]`);
    const count = search.hits ? each.rows.filter(isHit).length : each.rows.length;
    entry.querySelector("small").textContent = number(count);
    entry.classList.toggle("none", count === 0);
  }
}

function chooseTint() {
  const ways = [["Attribute", attributeKeys], ["HDBSCAN", clusterKeys]];
  const choice = document.getElementById("tint");
  choice.hidden = !has("cluster");
  for (const [name, keysOf] of ways) {
    const pressed = String(keysOf === attributeKeys);
    choice.append(button({ "aria-pressed": pressed, click: (event) => {
      for (const each of choice.children) {
        each.setAttribute("aria-pressed", String(each === event.currentTarget));
      }
      colorBy(keysOf());
      countLegend();
    } }, name));
  }
}

/** Set the map up, where words have a place. */
function startMap() {
  if (!placed.length) return;
  document.getElementById("map").hidden = false;
  const missing = numWords - placed.length;
  document.getElementById("unplaced").textContent = missing
    ? `${plural(missing, "word")} ${missing === 1 ? "has" : "have"} no place on it.` : "";
  document.getElementById("larger").hidden = !marksDiffer();
  canvas.setAttribute("aria-label", `Map of ${plural(placed.length, "word")}`);
  spread();
  readColors();
  chooseTint();
  colorBy(attributeKeys());
  settleTouch();
  new ResizeObserver(resize).observe(canvas);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
  searchers.push(() => { countLegend(); pointAt(-1); redraw(); });
  wordWatchers.push(redraw);
}

function repaint() {
  readColors();
  draw();
}
