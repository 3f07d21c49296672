// Files that are dropped on the form of the route test are tested at once.
"use strict";
for (const name of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(name, (event) => {
    const form = event.target.closest?.("#route-test");
    if (!form) return;
    event.preventDefault();
    form.classList.toggle("over", name === "dragover");
    if (name !== "drop" || !event.dataTransfer.files.length) return;
    form.querySelector("#route-file").files = event.dataTransfer.files;
    form.requestSubmit();
  });
}

// The lists are read again after a change of the node, and now and then because they show ages; but not while somebody works in them:
// then a line offers it.
(() => {
  const READ_EVERY_MS = 30000;
  const SHORTEST_MS = 5000;
  const behind = document.getElementById("behind");
  let readAt = performance.now();
  let timer = null;
  let asked = false; // by the person, who wants the lists also where a form is open
  function inUse() {
    const lists = document.getElementById("lists"), selected = getSelection();
    return lists.contains(document.activeElement) || lists.querySelector("details.act[open], .answered") !== null
      || lists.querySelector("#route-file").files.length > 0 || (!selected.isCollapsed && lists.contains(selected.anchorNode));
  }
  async function read() {
    readAt = performance.now();
    await htmx.ajax("GET", "/operations", { target: "#lists", select: "#lists", swap: "outerHTML", headers: { "X-Live": "yes", "X-Activity": "no" } });
  }
  function look(changed) {
    clearTimeout(timer);
    if (!document.hidden && (changed || performance.now() - readAt >= READ_EVERY_MS)) {
      if (!inUse()) read();
      else if (changed) behind.hidden = false;
    }
    timer = setTimeout(look, READ_EVERY_MS, false);
  }
  function lookIn(ms) {
    clearTimeout(timer);
    timer = setTimeout(look, ms, true);
  }
  // A form that was opened after the request must not be closed by the answer.
  document.body.addEventListener("htmx:beforeSwap", (event) => {
    if (event.detail.target?.id !== "lists") return;
    if (!asked && inUse()) {
      event.detail.shouldSwap = false;
      behind.hidden = false;
    }
    asked = false;
  });
  document.body.addEventListener("htmx:afterSettle", (event) => { if (event.detail.target?.id === "lists") behind.hidden = true; });
  behind.querySelector("button").addEventListener("click", () => { behind.hidden = true; asked = true; read(); });
  document.addEventListener("visibilitychange", () => lookIn(0));
  followChanges((seconds) => lookIn(Math.max(1000 * Math.random() * seconds, SHORTEST_MS - (performance.now() - readAt))));
})();
