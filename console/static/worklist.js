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
// Live: the node says that something has changed, and the first page is read again, at most every two seconds.
let waiting = false;
const source = new EventSource("/worklist/events");
source.onmessage = () => {
  if (waiting || document.hidden || window.scrollY > 400) return;
  waiting = true;
  setTimeout(() => {
    waiting = false;
    const focused = document.activeElement.closest("a.line")?.getAttribute("href");
    const query = new URLSearchParams(new FormData(document.getElementById("filters"))).toString();
    htmx.ajax("GET", "/worklist?" + query, "#lines").then(() => {
      if (focused) document.querySelector(`a.line[href="${focused}"]`)?.focus();
    });
  }, 2000);
};
