// The panel of one word: everything the dictionary knows about it.

const panel = document.getElementById("word");
const SHOWN = 16;
let cameFrom = null;
let shownRow = -1;
const wordWatchers = [];

/** Show one word; focus moves to the panel, and back when it closes. */
function showWord(row) {
  if (panel.hidden) cameFrom = document.activeElement;
  shownRow = row;
  panel.replaceChildren(
    button({ class: "close", "aria-label": "Close", click: closeWord }, "\u00d7"),
    element("h2", {}, element("bdi", {}, textOf(row))),
    element("p", { class: "about" }, ...placeOf(row)),
    element("dl", {}, ...numbersOf(row).flatMap(([name, value]) => [
      element("dt", {}, name),
      element("dd", {}, value),
    ])),
    ...counts("Spellings", formsOf(row)),
    ...counts("Carried by", objectsOf(row)),
    ...counts("Splits", splitsOf(row)),
    ...words("In its group", groupRecord(row) ? sameGroup(row) : []),
    ...words("In its HDBSCAN cluster", sameCluster(row)),
    ...examples(row),
  );
  panel.hidden = false;
  panel.scrollTop = 0;
  panel.focus({ preventScroll: true });
  for (const tell of wordWatchers) tell();
}

function closeWord() {
  panel.hidden = true;
  shownRow = -1;
  cameFrom?.focus({ preventScroll: true });
  for (const tell of wordWatchers) tell();
}

function placeOf(row) {
  const attribute = attributeOf(row);
  if (attribute < 0) return [sign(-1), ` left out: ${reasonOf(row)}`];
  const group = groupRecord(row)?.label;
  const name = element("bdi", {}, data.attributes[attribute].name);
  return [sign(attribute), " ", name, group ? " \u203a " : "", element("bdi", {}, group ?? "")];
}

function numbersOf(row) {
  const found = isCounted ? [["Mentions", number(countOf(row))]] : [];
  if (deniedOf(row)) found.push(["Said not to be there", number(deniedOf(row))]);
  if (attributeOf(row) >= 0) found.push(["Why it is here", reasonOf(row)]);
  if (statusOf(row)) found.push(["Status", statusOf(row)]);
  if (attributeOf(row) < 0 ? has("score") : isWeighed(row)) {
    found.push(["Score", decimal(scoreOf(row))], ["Margin", decimal(marginOf(row))]);
  }
  if (nextOf(row)) {
    const label = attributeOf(row) < 0 ? "Nearest attribute" : "Next attribute";
    found.push([label, element("bdi", {}, nextOf(row))]);
  }
  if (liftOf(row) !== null) found.push(["Lift", decimal(liftOf(row))]);
  if (alsoOf(row).length) found.push(["Could also be", element("bdi", {}, alsoOf(row).join(", "))]);
  return found;
}

/** A small table of names and counts. */
function counts(title, entries) {
  if (!entries.length) return [];
  const lines = entries.map(([name, count]) =>
    element("tr", {}, element("td", {}, element("bdi", {}, name)),
      element("td", { class: "n" }, number(count))));
  return [element("h3", {}, title), element("table", {}, element("tbody", {}, lines))];
}

function words(title, rows) {
  if (!rows.length) return [];
  const rest = rows.length - SHOWN;
  const chips = rows.slice(0, SHOWN).map(wordButton);
  if (rest > 0) chips.push(element("span", { class: "also" }, `and ${number(rest)} more`));
  return [element("h3", {}, title), element("div", { class: "chips" }, chips)];
}

function sameGroup(row) {
  return rowsOf[attributeOf(row)].filter(
    (other) => other !== row && groupOf(other) === groupOf(row));
}

function sameCluster(row) {
  const cluster = clusterOf(row);
  if (cluster === null || cluster < 0) return [];
  const found = [];
  for (let other = 0; other < numWords; other++) {
    if (other !== row && clusterOf(other) === cluster) found.push(other);
  }
  return found.sort((one, two) => countOf(two) - countOf(one));
}

/** Captions that mention the word, with the word marked. */
function examples(row) {
  const given = examplesOf(row);
  if (!given.length) return [];
  const quotes = given.map((text) =>
    element("blockquote", {}, element("bdi", {}, ...spotted(text, textOf(row)))));
  return [element("h3", {}, "Examples"), ...quotes];
}

function spotted(text, word) {
  const place = text.toLowerCase().indexOf(word.toLowerCase());
  if (place < 0) return [text];
  const end = place + word.length;
  return [text.slice(0, place), element("b", {}, text.slice(place, end)), text.slice(end)];
}
