// What is searched: the words that match, and whoever wants to know when that changes.

const search = { terms: [], hits: null, count: numWords, anywhere: false, mark: null };
const searchers = [];
const haystacks = [];

/** Lower case without accents; hyphens and underscores are spaces. */
function plain(text) {
  const ascii = /^[\x20-\x7e]*$/.test(text);
  const bare = ascii ? text : text.normalize("NFKD").replace(/\p{M}/gu, "");
  return bare.toLowerCase().replace(/[-_\s]+/g, " ");
}

/** Everything a word is found by: its spellings, attribute and group, each after a space. */
function haystack(row) {
  haystacks[row] ??= plain(
    [
      "",
      textOf(row),
      ...formsOf(row).map(([form]) => form),
      data.attributes[attributeOf(row)]?.name ?? "",
      groupRecord(row)?.label ?? "",
    ].join(" "),
  );
  return haystacks[row];
}

/** Search; words that begin with every term, or if there is none, words that contain them. */
function searchFor(query) {
  const found = plain(query).split(" ").filter(Boolean);
  search.terms = found;
  search.anywhere = false;
  search.hits = found.length ? scan(found) : null;
  if (found.length && !search.count && !data.unknown.some(([word]) => matchesText(word))) {
    search.anywhere = true;
    search.hits = scan(found);
  }
  if (!found.length) search.count = numWords;
  search.mark = found.length ? markOf(found) : null;
  for (const tell of searchers) tell();
}

function scan(terms) {
  const wanted = search.anywhere ? terms : terms.map((term) => ` ${term}`);
  const hits = new Uint8Array(numWords);
  search.count = 0;
  for (let row = 0; row < numWords; row++) {
    const text = haystack(row);
    if (wanted.every((term) => text.includes(term))) {
      hits[row] = 1;
      search.count++;
    }
  }
  return hits;
}

const isHit = (row) => !search.hits || search.hits[row] === 1;

/** Whether text that is no word of the dictionary matches. */
function matchesText(text) {
  const within = ` ${plain(text)}`;
  return search.terms.every((term) => within.includes(search.anywhere ? term : ` ${term}`));
}

/** Where to mark what matches. */
function markOf(terms) {
  const exact = terms.map((term) => term.replace(/[.*+?^${}()|[\]\\/]/g, "\\$&"));
  const begins = search.anywhere ? "" : "(?<![\\p{L}\\p{N}])";
  return new RegExp(`${begins}(${exact.join("|")})`, "giu");
}

/** The text as nodes, with the terms marked where they stand as they were typed. */
function marked(text) {
  if (!search.mark) return [text];
  const parts = text.split(search.mark);
  return parts.map((part, place) => (place % 2 ? element("mark", {}, part) : part));
}

/** Read all words while nothing else is to be done: the first search is quick too. */
function warm(row = 0) {
  const end = Math.min(numWords, row + 4000);
  for (let next = row; next < end; next++) haystack(next);
  if (end < numWords) whenIdle(() => warm(end));
}

const whenIdle = window.requestIdleCallback ?? setTimeout;
const queryBox = document.getElementById("query");
let typed = 0;

/** Search for what stands in the box, and keep it in the address. */
function searchTyped() {
  cancelAnimationFrame(typed);
  typed = requestAnimationFrame(() => {
    searchFor(queryBox.value);
    const query = queryBox.value.trim();
    const page = location.href.split("#")[0];
    history.replaceState(null, "", query ? `${page}#q=${encodeURIComponent(query)}` : page);
  });
}

/** The query in the page's address. */
function queryOfAddress() {
  const found = /^#q=(.*)$/s.exec(location.hash);
  if (!found) return "";
  try {
    return decodeURIComponent(found[1]);
  } catch {
    return found[1];
  }
}

function clearSearch() {
  queryBox.value = "";
  searchTyped();
}

function tellFound() {
  const nothing = document.getElementById("nothing");
  const any = search.count > 0 || data.unknown.some(([word]) => matchesText(word));
  document.getElementById("found").textContent = search.terms.length
    ? `${number(search.count)} of ${plural(numWords, "word")}`
    : "";
  nothing.hidden = any || !search.terms.length;
  nothing.replaceChildren(
    "No word, spelling, attribute or group matches ",
    element("bdi", {}, `\u201c${queryBox.value.trim()}\u201d`),
    ". ",
    button({ click: clearSearch }, "Clear the search"),
  );
}

searchers.push(tellFound);
queryBox.addEventListener("input", searchTyped);
