// What is not a value, and what a person may judge.

function startLeftOut() {
  const section = document.getElementById("left-out");
  document.getElementById("lift").hidden = !has("lift");
  const any = (of) => leftOut.some((row) => of(row));
  const made = lazyTable([
    { head: "Word", cell: wordButton },
    isCounted && { head: "Mentions", kind: "n", cell: (row) => number(countOf(row)) },
    { head: "Reason", kind: "text", cell: (row) => reasonOf(row) },
    has("lift") && { head: "Lift", kind: "n", cell: (row) => decimal(liftOf(row)) },
    any(nextOf) && { head: "Nearest", kind: "text", cell: (row) => bdi(nextOf(row)) },
    any(scoreOf) && { head: "Score", kind: "n wide", cell: (row) => decimal(scoreOf(row)) },
    any(marginOf) && { head: "Margin", kind: "n wide", cell: (row) => decimal(marginOf(row)) },
    leftOut.some((row) => groupOf(row) >= 0) && { head: "Group", kind: "n wide",
      cell: (row) => (groupOf(row) < 0 ? "" : number(groupOf(row))) },
  ].filter(Boolean));
  const chips = element("div", { class: "reasons", role: "group", "aria-label": "Reasons" });
  section.append(chips);
  let chosen = "";
  const isWanted = (row) => isHit(row) && (!chosen || reasonOf(row) === chosen);
  const update = part(section, "", leftOut, isHit, made);
  const refresh = () => {
    update();
    if (chosen) made.show(leftOut.filter(isWanted));
    chips.replaceChildren(...reasonChips());
  };
  const reasonChips = () => {
    const totals = new Map();
    for (const row of leftOut) {
      if (isHit(row)) totals.set(reasonOf(row), (totals.get(reasonOf(row)) ?? 0) + 1);
    }
    if (chosen && !totals.has(chosen)) totals.set(chosen, 0);
    return [...totals].sort((one, two) => two[1] - one[1]).map(([reason, count]) =>
      button({ "aria-pressed": String(reason === chosen), click: () => {
        chosen = reason === chosen ? "" : reason;
        refresh();
      } }, reason, " ", element("small", {}, number(count))));
  };
  return [section, [refresh]];
}

/** A spelling, as a button where it is a word of the dictionary. */
const wordLink = (text, row) =>
  row < 0 ? bdi(text) : button({ class: "word", "data-row": row }, bdi(text));

function startMerges() {
  const section = document.getElementById("merges");
  const evidence = (each) => (each.kind === "meaning" ? "near the same meaning"
    : ["same base form", ...(each.lemma ? [": ", bdi(each.lemma)] : [])]);
  const columns = [
    { head: "Words", cell: (each) =>
      joined(each.words.map((word, at) => wordLink(word, each.rows[at])), " / ") },
    isCounted && { head: "Mentions", kind: "n",
      cell: (each) => each.counts.map(number).join(" / ") },
    { head: "Evidence", kind: "text", cell: evidence },
    { head: "Likeness", kind: "n", cell: (each) => decimal(each.cosine) },
    data.proposals.some((each) => each.shared !== null) && { head: "Images with both",
      kind: "n wide", cell: (each) => (each.shared === null ? "" : number(each.shared)) },
  ].filter(Boolean);
  const matches = (each) => [...each.words, each.lemma].some(matchesText);
  return [section, [part(section, "", data.proposals, matches, lazyTable(columns))]];
}

function startConflicts() {
  const section = document.getElementById("conflicts");
  const name = (row) => [bdi(data.attributes[attributeOf(row)].name)];
  const columns = [
    { head: "Word", cell: (each) => wordLink(each.word, each.rows[0]) },
    { head: "Stands under", kind: "text", cell: (each) => joined(each.rows.flatMap(name), ", ") },
    { head: "Could also be", kind: "text", cell: (each) => joined(each.others.map(bdi), ", ") },
    isCounted && { head: "Mentions", kind: "n",
      cell: (each) => number(sum(each.rows, countOf)) },
  ].filter(Boolean);
  const matches = (each) => matchesText(each.word) || each.rows.some((row) => isHit(row));
  return [section, [part(section, "", data.conflicts, matches, lazyTable(columns))]];
}

function startUnknown() {
  const section = document.getElementById("unknown");
  const list = lazyList(([text, row]) => wordLink(text, row), 60);
  return [section, [part(section, "", data.unknown, ([text]) => matchesText(text), list)]];
}
