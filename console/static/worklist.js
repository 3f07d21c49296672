// Keys of the worklist: "/" searches, "j" and "k" move along the lines; Enter opens a line because it is a link.
"use strict";
document.addEventListener("keydown", (event) => {
  const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName);
  if (event.key === "Escape" && typing) { document.activeElement.blur(); return; }
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "/") { event.preventDefault(); document.getElementById("search").select(); return; }
  if (event.key !== "j" && event.key !== "k") return;
  const lines = [...document.querySelectorAll("a.line")];
  const here = lines.indexOf(document.activeElement);
  const next = lines[event.key === "j" ? Math.min(here + 1, lines.length - 1) : Math.max(here - 1, 0)];
  if (next) { event.preventDefault(); next.focus(); }
});
// Live: the first page is read again after a change, but not while it is out of sight: then as soon as it is seen again.
const list = document.getElementById("lines");
let behind = false; // a change was told that the lines do not show
let seconds = 1;
let waiting = false;
let shown = "";
function changed(within) {
  behind = true;
  seconds = within;
  readSoon();
}
function readSoon() {
  if (!behind || waiting || document.hidden || window.scrollY > 400) return;
  waiting = true;
  setTimeout(readAgain, 1000 * Math.random() * seconds);
}
// What is said to a screen reader: a sentence, because the lines are replaced as a whole and would all be read.
const said = document.getElementById("said");
const PARTS = [".patient", ".found", ".state-of"]; // not the age, which changes by itself
const textOf = (line) => PARTS.map((part) => line.querySelector(part).textContent).join(" ");
const shownLines = () => new Map([...list.querySelectorAll("a.line")].map((line) => [line.getAttribute("href"), textOf(line)]));
const count = (number, one, many) => (number === 1 ? `1 ${one}` : `${number} ${many}`);
function sayChanges(before) {
  const now = [...shownLines()];
  const added = now.filter(([study]) => !before.has(study)).length;
  const altered = now.filter(([study, text]) => before.has(study) && before.get(study) !== text).length;
  const parts = [];
  if (added) parts.push(`${count(added, "new study", "new studies")}.`);
  if (altered) parts.push(`${count(altered, "study", "studies")} changed.`);
  if (parts.length) said.textContent = parts.join(" ");
}
function saySize() {
  const number = shownLines().size;
  said.textContent = number ? `${count(number, "study is", "studies are")} shown.` : "No study is shown.";
}
const filters = () => new URLSearchParams(new FormData(document.getElementById("filters"))).toString();
async function readAgain() {
  const query = filters();
  behind = false; // a change that is told from now on may be missing in the answer
  try {
    const reply = await fetch("/worklist?" + query, { headers: { "HX-Request": "true", "X-Live": shown } });
    if (reply.status === 401) { location.reload(); return; } // the session has ended
    if (reply.status === 200 && query === filters()) {
      const focused = document.activeElement.closest("a.line")?.getAttribute("href");
      const lines = await reply.text(), before = shownLines();
      list.innerHTML = lines;
      htmx.process(list);
      shown = reply.headers.get("X-Lines") || "";
      sayChanges(before);
      if (focused) list.querySelector(`a.line[href="${focused}"]`)?.focus();
    }
  } catch (error) { /* the node cannot be reached; the next connect or event asks again */ }
  waiting = false;
  readSoon();
}
document.body.addEventListener("htmx:afterSwap", () => {
  shown = "";
  saySize();
  document.getElementById("clear").hidden = ![...new URLSearchParams(filters()).values()].some(Boolean);
});
document.addEventListener("visibilitychange", readSoon);
window.addEventListener("scroll", readSoon, { passive: true });
followChanges(changed);
// The filters may have changed since the page was made: those of the form are saved.
document.getElementById("save-view").addEventListener("submit", (event) => {
  const named = new FormData(document.getElementById("filters"));
  event.target.elements.query.value = new URLSearchParams([...named].filter(([, value]) => value)).toString();
});
