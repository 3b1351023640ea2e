// How the dictionary judges itself, and how it was built.

/** A setting or a measure as text. */
function told(value) {
  if (value === null || value === undefined || value === "") return "\u2013";
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (Number.isInteger(value)) return number(value);
  return Array.isArray(value) ? value.join(", ") : String(value);
}

/** The name of a setting or a measure as a person writes it. */
const label = (path) => path.replaceAll("_", " ").replace(/\bnum\b/, "number of")
  .replace(/\b(ari|nmi|pca)\b/g, (name) => name.toUpperCase());

/** How HDBSCAN alone spreads an attribute's values: clusters, the largest one's share, noise. */
function spreadOf(place) {
  const sizes = new Map();
  let noise = 0;
  for (const row of rowsOf[place]) {
    const cluster = clusterOf(row);
    if (cluster === null || cluster < 0) noise++;
    else sizes.set(cluster, (sizes.get(cluster) ?? 0) + 1);
  }
  return { clusters: sizes.size, largest: Math.max(0, ...sizes.values()), noise };
}

function startChecks() {
  const section = document.getElementById("checks");
  const all = rowsOf.map((rows) => rows.length);
  const places = has("cluster") ? data.attributes.map((_, place) => place) : [];
  const matches = (row) => matchesText(label(row[0]));
  const name = { head: "Measure", cell: (row) => label(row[0]) };
  const value = (head, at) => ({ head, kind: "n", cell: (row) => told(row[at]) });
  return [section, [
    part(section, "Seed words beside HDBSCAN alone", data.modes, matches,
      lazyTable([name, value("Seed words", 1), value("HDBSCAN alone", 2)])),
    part(section, "What HDBSCAN alone makes of each attribute", places, isHitAttribute, lazyTable([
      { head: "Attribute", kind: "name", cell: (place) => attributeName(place) },
      { head: "Values", kind: "n", cell: (place) => number(all[place]) },
      { head: "Clusters", kind: "n", cell: (place) => number(spreadOf(place).clusters) },
      { head: "In the largest", kind: "n",
        cell: (place) => percent(spreadOf(place).largest, all[place]) },
      { head: "Noise", kind: "n", cell: (place) => percent(spreadOf(place).noise, all[place]) },
    ])),
    part(section, "The dictionary as a whole", data.checks, matches,
      lazyTable([name, value("Value", 1)])),
  ]];
}

function startHow() {
  const section = document.getElementById("how");
  const seeds = (kind) => joined(kind.seeds.map((seed) =>
    element("span", { class: kind.found.includes(seed) ? null : "absent" }, bdi(seed))), ", ");
  const kinds = data.kinds.filter((kind) => kind.seeds.length);
  part(section, "Kinds and their seed words", kinds, () => true, lazyTable([
    { head: "Kind", cell: (kind) => bdi(kind.name) },
    { head: "Seed words; in gray those the source does not use", cell: seeds },
  ]))();
  const two = element("div", { class: "two" });
  section.append(two);
  const pairs = (title, rows) => part(two, title, rows, () => true, lazyTable([
    { head: "", kind: "text", cell: (row) => label(row[0]) },
    { head: "", kind: "n", cell: (row) => told(row[1]) },
  ], 60))();
  pairs("Settings", data.settings);
  pairs("Versions", data.versions);
  part(section, "Hashes", data.hashes.filter((row) => row[1]), () => true, lazyTable([
    { head: "", kind: "text", cell: (row) => row[0] },
    { head: "", cell: (row) => element("code", {}, row[1]) },
  ]))();
  return [section, []];
}
