// Lists and tables that draw their first entries, and the others when asked: many stay quick.

const STEP = 500;

/**
 * Entries drawn into `body` as they are asked for; `draw(item)` makes one.
 * Returns {root, show(items)}, where `root` holds `around` and the offer of more.
 */
function lazily(around, body, draw, first, noun) {
  const more = element("p", { class: "more" });
  const root = element("div", {}, around, more);
  let items = [];
  let drawn = 0;
  let turn = 0;

  /** Draw up to `end` items, some in each frame. */
  function grow(end, mine) {
    if (mine !== turn) return;
    const next = Math.min(end, items.length, drawn + STEP);
    const made = document.createDocumentFragment();
    for (; drawn < next; drawn++) made.append(draw(items[drawn]));
    body.append(made);
    offer();
    if (drawn < Math.min(end, items.length)) requestAnimationFrame(() => grow(end, mine));
  }

  function offer() {
    const rest = items.length - drawn;
    const ask = (text, end) => button({ click: () => grow(end, ++turn) }, text);
    more.hidden = rest === 0;
    more.replaceChildren(
      `${number(drawn)} of ${plural(items.length, noun)}`,
      rest > STEP ? ask(`Show ${STEP} more`, drawn + STEP) : "",
      ask("Show all", items.length),
    );
  }

  return {
    root,
    show(given) {
      items = given;
      drawn = 0;
      body.replaceChildren();
      grow(first, ++turn);
    },
  };
}

/**
 * A table of items under columns of {head, cell(item), kind: class names}.
 * An item with a `heading` is a line of its own: the nodes that `heading` gives.
 */
function lazyTable(columns, first = 30) {
  const body = element("tbody");
  const heads = columns.map((each) => element("th", { class: each.kind, scope: "col" }, each.head));
  const titled = columns.some((each) => each.head);
  const head = titled && element("thead", {}, element("tr", {}, heads));

  function line(item) {
    if (item.heading) {
      const cell = element("th", { colspan: columns.length, scope: "rowgroup" }, item.heading());
      return element("tr", { class: "group" }, cell);
    }
    const cells = columns.map((each) => element("td", { class: each.kind }, each.cell(item)));
    return element("tr", {}, cells);
  }

  return lazily(element("table", {}, head, body), body, line, first, "row");
}

/** Words in running lines. */
function lazyList(draw, first) {
  const body = element("ul", { class: "words" });
  return lazily(body, body, (item) => element("li", {}, draw(item)), first, "word");
}

/** A part of a section; returns what draws the items that a search leaves in it. */
function part(section, title, items, matches, made) {
  const heading = title ? element("h3", {}, title) : null;
  const root = element("div", { class: "part" }, heading, made.root);
  if (items.length) section.append(root);
  return () => {
    const found = search.terms.length ? items.filter(matches) : items;
    root.hidden = !found.length;
    made.show(found);
  };
}

/** Show a section while one of its parts has something to show. */
function settle(section) {
  const parts = [...section.querySelectorAll(".part, .attribute")];
  section.hidden = parts.every((each) => each.hidden);
}
