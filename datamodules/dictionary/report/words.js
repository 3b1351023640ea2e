// The data of the page, one word's fields by its row number, and how numbers are written.

const data = JSON.parse(document.getElementById("data").textContent);
const numWords = data.words.text.length;

/** Whether any word has the field. */
const has = (name) => data.words[name].length > 0;

/** Whether counts say anything: words of a plain list are met once each. */
const isCounted = data.counted;
const mentions = (value) => (isCounted ? [plural(value, "mention")] : []);

/** A reader of one column; `empty` is what a word without an entry gives. */
function column(name, empty) {
  const entries = data.words[name];
  return entries.length ? (row) => entries[row] : () => empty;
}

const textOf = column("text", "");
const countOf = column("count", 0);
const attributeOf = column("attribute", -1);
const groupOf = column("group", -1);
const scoreOf = column("score", 0);
const marginOf = column("margin", 0);
const liftOf = column("lift", null);
const deniedOf = column("denied", 0);
const clusterOf = column("cluster", null);
const examplesOf = listed(column("examples", 0));
const whyOf = named(column("why", 0));
const nextOf = named(column("next", 0));
const statusOf = named(column("status", 0));
const splitsOf = counted(column("splits", 0), (entry) => data.strings[entry]);
const objectsOf = counted(column("objects", 0), (entry) => data.strings[entry]);
const formsOf = counted(column("forms", 0), (entry) => entry);
const alsoNumbers = listed(column("also", 0));
const alsoOf = (row) => alsoNumbers(row).map((entry) => data.strings[entry]);

function listed(read) {
  return (row) => read(row) || [];
}

function named(read) {
  return (row) => data.strings[read(row)];
}

/** [name, count, name, count ...] -> [[name, count], ...] */
function counted(read, nameOf) {
  return (row) => {
    const flat = read(row) || [];
    return flat.flatMap((entry, place) => (place % 2 ? [] : [[nameOf(entry), flat[place + 1]]]));
  };
}

/** Rows of each attribute's values, and those of the words left out. */
const rowsOf = data.attributes.map(() => []);
const leftOut = [];
for (let row = 0; row < numWords; row++) {
  (attributeOf(row) < 0 ? leftOut : rowsOf[attributeOf(row)]).push(row);
}

/** Whether any word was typed by likeness; numbers of words that the source types say nothing. */
const isWeighed = (row) => whyOf(row) !== "given" && whyOf(row) !== "edit";
const anyWeighed = rowsOf.some((rows) => rows.some(isWeighed));

const WHY = {
  given: "stated by the source",
  edit: "set by a person",
  seed: "seed word",
  anchor: "near the seeds",
  cluster: "HDBSCAN group",
};

/** The evidence or the reason in words. */
function reasonOf(row) {
  const why = whyOf(row);
  return WHY[why] ?? why.replace(/^rule:/, "rule: ").replaceAll("_", " ");
}

/** The group of a value, or undefined. */
const groupRecord = (row) => data.attributes[attributeOf(row)]?.groups[groupOf(row)];

const WHOLE = new Intl.NumberFormat("en-US");
const number = (value) => WHOLE.format(value);
const decimal = (value) => (value === null ? "" : value.toFixed(2).replace("-", "\u2212"));
const percent = (part, all) => `${(all ? (100 * part) / all : 0).toFixed(1)}%`;
const plural = (value, noun) => `${number(value)} ${noun}${value === 1 ? "" : "s"}`;
const sum = (rows, of) => rows.reduce((total, row) => total + of(row), 0);
