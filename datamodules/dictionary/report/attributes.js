// The table of attributes, and each attribute's values by group.

const allMentions = sum([...Array(numWords).keys()], countOf);
const anyMerit = data.attributes.some((each) => each.merit);

const attributeName = (place) => [
  sign(place), "\u00a0",
  element("a", { href: `#attribute-${place}` }, bdi(data.attributes[place].name)),
];

const YES_NO = { true: "yes", false: "no" };

/** Whether a fact tells attributes apart: one that holds of all is said nowhere. */
const differs = (fact) => data.attributes.some((each) => each[fact] !== data.attributes[0][fact]);

function meanMargin(rows) {
  const weighed = rows.filter(isWeighed);
  return weighed.length ? decimal(sum(weighed, marginOf) / weighed.length) : "";
}

function meritOf(place) {
  const merit = data.attributes[place].merit;
  if (!merit) return "";
  const [first, ...others] = merit.reasons;
  if (!others.length) return first ?? "";
  const rest = element("ul", {}, others.map((text) => element("li", {}, text)));
  return element("details", {}, element("summary", {}, first), rest);
}

const typesColumns = () => [
  { head: "Attribute", kind: "name", cell: (place) => attributeName(place) },
  { head: "Values", kind: "n", cell: (place) => number(rowsOf[place].length) },
  { head: "Of all words", kind: "n wide",
    cell: (place) => percent(rowsOf[place].length, numWords) },
  isCounted && { head: "Mentions", kind: "n",
    cell: (place) => number(sum(rowsOf[place], countOf)) },
  isCounted && { head: "Of all mentions", kind: "n wide",
    cell: (place) => percent(sum(rowsOf[place], countOf), allMentions) },
  anyWeighed && { head: "Mean margin", kind: "n wide", cell: (place) => meanMargin(rowsOf[place]) },
  differs("exclusive") && { head: "One value an image", kind: "wide",
    cell: (place) => YES_NO[data.attributes[place].exclusive] ?? "" },
  differs("selected") && { head: "Adapter",
    cell: (place) => YES_NO[data.attributes[place].selected] },
  anyMerit && { head: "Merit", kind: "n",
    cell: (place) => decimal(data.attributes[place].merit?.score ?? null) },
  anyMerit && { head: "Why", kind: "text long wide", cell: meritOf },
].filter(Boolean);

/** Whether a value of the attribute matches the search. */
const isHitAttribute = (place) => !search.hits || rowsOf[place].some(isHit);

function startAttributes() {
  const section = document.getElementById("attributes");
  const places = data.attributes.map((_, place) => place);
  const made = lazyTable(typesColumns(), 60);
  return [section, [part(section, "", places, isHitAttribute, made)]];
}

/**
 * The values of an attribute as lines of a table: each group of several under its heading, then
 * those alone in their group, then those in none.
 */
function linesOf(place, rows) {
  const { groups, center } = data.attributes[place];
  if (!groups.length && center < 0) return rows.map((row) => ({ row }));
  const sizes = groups.map(() => 0);
  for (const row of rowsOf[place]) if (groupOf(row) >= 0) sizes[groupOf(row)]++;
  const members = groups.map(() => []);
  const alone = [];
  const outside = [];
  for (const row of rows) {
    const group = groupOf(row);
    (group < 0 ? outside : sizes[group] > 1 ? members[group] : alone).push(row);
  }
  return [
    ...members.flatMap((found, at) =>
      block(found, () => groupHeading(groups[at], found, sizes[at]))),
    ...block(alone, () => headingOf("Groups of one word", alone)),
    ...block(byNearness(place, outside), () => headingOf("Not grouped", outside)),
  ];
}

/** Frequent words first; of equally frequent ones, those near the center on the map. */
function byNearness(place, rows) {
  const { center } = data.attributes[place];
  if (center < 0) return rows;
  const far = (row) => (xOf(row) === null || xOf(center) === null ? Infinity
    : Math.hypot(xOf(row) - xOf(center), yOf(row) - yOf(center)));
  return [...rows].sort((one, two) =>
    countOf(two) - countOf(one) || (far(one) > far(two)) - (far(one) < far(two)) || one - two);
}

const block = (rows, heading) =>
  rows.length ? [{ heading }, ...rows.map((row) => ({ row }))] : [];

const headingOf = (title, rows, words = plural(rows.length, "word"), ...facts) => [
  element("b", {}, title),
  [words, ...mentions(sum(rows, countOf)), ...facts].join(" \u00b7 "),
];

function groupHeading(group, rows, size) {
  const words = `${rows.length < size ? `${number(rows.length)} of ` : ""}${plural(size, "word")}`;
  const facts = group.cohesion ? [`cohesion ${decimal(group.cohesion)}`] : [];
  const heading = headingOf(bdi(group.label), rows, words, ...facts);
  const center = group.medoid >= 0 ? textOf(group.medoid) : "";
  if (center && center !== group.label) heading.push(" \u00b7 center ", bdi(center));
  if (group.aliases.length) heading.push(" \u00b7 formerly ", bdi(group.aliases.join(", ")));
  return heading;
}

function spellingsOf(row) {
  const others = formsOf(row).map(([form]) => form).filter((form) => form !== textOf(row));
  return others.length ? element("span", { class: "also" }, " ", bdi(others.join(", "))) : null;
}

const reviewed = (row) =>
  statusOf(row) === "reviewed" && element("span", { class: "tag" }, " reviewed");

/** Whether some attribute has a value that is met more often than another. */
const countsDiffer = rowsOf.some((rows) => rows.some((row) => countOf(row) !== countOf(rows[0])));

/** Which columns any value fills; the same for every attribute, so that tables line up. */
const anyValue = (of) => rowsOf.some((rows) => rows.some((row) => of(row)));
const filled = {
  denied: has("denied"), score: anyWeighed, next: anyValue(nextOf), splits: has("splits"),
  objects: has("objects"), examples: has("examples"),
};

function valueColumns(most) {
  const carriers = (row) => objectsOf(row).slice(0, 3).map(([name]) => name).join(", ");
  return [
    { head: "Word", kind: "w-word",
      cell: ({ row }) => [wordButton(row), spellingsOf(row), reviewed(row)] },
    isCounted && { head: "Mentions", kind: "n w-number",
      cell: ({ row }) => number(countOf(row)) },
    countsDiffer && { head: "", kind: "bars w-bars", cell: ({ row }) => bar(countOf(row) / most) },
    filled.denied && { head: "Denied", kind: "n wide w-number",
      cell: ({ row }) => number(deniedOf(row)) },
    filled.score && { head: "Score", kind: "n w-number",
      cell: ({ row }) => (isWeighed(row) ? decimal(scoreOf(row)) : "") },
    filled.score && { head: "Margin", kind: "n wide w-number",
      cell: ({ row }) => (isWeighed(row) ? decimal(marginOf(row)) : "") },
    filled.next && { head: "Next", kind: "text wide w-next", cell: ({ row }) => bdi(nextOf(row)) },
    filled.score && { head: "Why", kind: "text wide w-why", cell: ({ row }) => reasonOf(row) },
    filled.objects && { head: "Carried by", kind: "text wide line w-why",
      cell: ({ row }) => bdi(carriers(row)) },
    filled.examples && { head: "Example", kind: "text wide line w-example",
      cell: ({ row }) => element("bdi", {}, examplesOf(row)[0] ?? "") },
  ].filter(Boolean);
}

function aboutAttribute(place) {
  const { groups, exclusive, selected } = data.attributes[place];
  const rows = rowsOf[place];
  const values = plural(rows.length, "value");
  return [
    groups.length ? `${values} in ${plural(groups.length, "group")}` : values,
    ...mentions(sum(rows, countOf)),
    exclusive !== null && (exclusive ? "one value an image" : "several values an image"),
    differs("selected") && (selected ? "an adapter is trained" : "no adapter"),
  ].filter(Boolean).join(" \u00b7 ");
}

/** One attribute's heading and values; returns what updates it after a search. */
function startAttribute(section, place) {
  const rows = rowsOf[place];
  const made = lazyTable(valueColumns(Math.max(1, ...rows.slice(0, 1).map(countOf))), 40);
  made.root.className = "values";
  const prompts = data.attributes[place].templates;
  const root = element("article", { class: "attribute", id: `attribute-${place}` },
    element("h3", {}, sign(place), element("bdi", {}, data.attributes[place].name)),
    element("p", { class: "about" }, aboutAttribute(place)),
    prompts.length ? element("p", { class: "about" }, "Prompts: ", bdi(prompts.join("; "))) : null,
    made.root);
  section.append(root);
  return () => {
    const found = search.hits ? rows.filter(isHit) : rows;
    root.hidden = !found.length;
    made.show(linesOf(place, found));
  };
}

function startValues() {
  const section = document.getElementById("values");
  return [section, data.attributes.map((_, place) => startAttribute(section, place))];
}
