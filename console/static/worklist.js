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
const filters = () => new URLSearchParams(new FormData(document.getElementById("filters"))).toString();
async function readAgain() {
  const query = filters();
  behind = false; // a change that is told from now on may be missing in the answer
  try {
    const reply = await fetch("/worklist?" + query, { headers: { "HX-Request": "true", "X-Live": shown } });
    if (reply.status === 401) { location.reload(); return; } // the session has ended
    if (reply.status === 200 && query === filters()) {
      const focused = document.activeElement.closest("a.line")?.getAttribute("href");
      const lines = await reply.text();
      list.innerHTML = lines;
      htmx.process(list);
      shown = reply.headers.get("X-Lines") || "";
      if (focused) list.querySelector(`a.line[href="${focused}"]`)?.focus();
    }
  } catch (error) { /* the node cannot be reached; the next connect or event asks again */ }
  waiting = false;
  readSoon();
}
document.body.addEventListener("htmx:afterSwap", () => { shown = ""; });
document.addEventListener("visibilitychange", readSoon);
window.addEventListener("scroll", readSoon, { passive: true });
followChanges(changed);
