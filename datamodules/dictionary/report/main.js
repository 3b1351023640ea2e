// The page comes together: sections, keys, the address, printing.

const sections = [
  startAttributes(), startValues(), startLeftOut(), startMerges(), startConflicts(), startUnknown(),
  startChecks(), startHow(),
];
const links = document.getElementById("links");

/** Draw what matches the search, and hide the sections in which nothing does. */
function update() {
  for (const [section, updates] of sections) {
    for (const each of updates) each();
    settle(section);
  }
  document.getElementById("how").hidden = search.terms.length > 0;
  const shown = [...document.querySelectorAll("main > section:not([hidden])")];
  links.replaceChildren(...shown.map((section) =>
    element("a", { href: `#${section.id}` }, section.querySelector("h2").textContent)));
}

// A link scrolls, but does not put its own name in place of the query in the address.
document.addEventListener("click", (event) => {
  const word = event.target.closest("[data-row]");
  if (word) showWord(Number(word.dataset.row));
  const link = event.target.closest("a[href^='#']");
  if (!link) return;
  event.preventDefault();
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const target = document.getElementById(link.getAttribute("href").slice(1));
  target?.scrollIntoView({ behavior: calm ? "auto" : "smooth" });
});

document.addEventListener("keydown", (event) => {
  const typing = event.target.matches("input");
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    queryBox.focus();
    queryBox.select();
  }
  if (event.key !== "Escape") return;
  event.preventDefault();
  if (!panel.hidden) closeWord();
  else if (queryBox.value) clearSearch();
  else queryBox.blur();
});

window.addEventListener("hashchange", () => {
  queryBox.value = queryOfAddress();
  searchFor(queryBox.value);
});

for (const [moment, printed] of [["beforeprint", true], ["afterprint", false]]) {
  window.addEventListener(moment, () => {
    document.documentElement.classList.toggle("printed", printed);
    if (placed.length) repaint();
  });
}

searchers.push(update);
startMap();
queryBox.value = queryOfAddress();
searchFor(queryBox.value);
whenIdle(() => warm());
