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
// Live: the node says that something has changed, and the first page is read again within the seconds that it names.
const list = document.getElementById("lines");
let waiting = false;
let shown = "";
const source = new EventSource("/worklist/events");
source.onmessage = (event) => {
  if (waiting || document.hidden || window.scrollY > 400) return;
  waiting = true;
  setTimeout(readAgain, 1000 * Math.random() * Number(event.data.split(" ")[1] || 1));
};
const filters = () => new URLSearchParams(new FormData(document.getElementById("filters"))).toString();
async function readAgain() {
  const query = filters();
  try {
    const reply = await fetch("/worklist?" + query, { headers: { "HX-Request": "true", "X-Live": shown } });
    if (reply.status === 200 && query === filters()) {
      const focused = document.activeElement.closest("a.line")?.getAttribute("href");
      const lines = await reply.text();
      list.innerHTML = lines;
      htmx.process(list);
      shown = reply.headers.get("X-Lines") || "";
      if (focused) list.querySelector(`a.line[href="${focused}"]`)?.focus();
    }
  } catch (error) { /* the node cannot be reached; the next event asks again */ }
  waiting = false;
}
document.body.addEventListener("htmx:afterSwap", () => { shown = ""; });
