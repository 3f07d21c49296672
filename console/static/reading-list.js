// The place of a study in the list from which it was opened: back to this list with its filters, and on to the study before and behind
// it. The list is kept for this tab and this session only, because a search may hold the name of a patient.
"use strict";
(() => {
  const name = "worklist " + document.querySelector(".who [name=form_token]").value;
  if (location.pathname === "/worklist") {
    addEventListener("pagehide", () => {
      for (const old of Object.keys(sessionStorage)) if (old.startsWith("worklist ")) sessionStorage.removeItem(old);
      const studies = [...document.querySelectorAll("a.line")].map((line) => line.getAttribute("href"));
      sessionStorage.setItem(name, JSON.stringify({ search: location.search, studies }));
    });
    return;
  }
  const list = JSON.parse(sessionStorage.getItem(name));
  if (list === null) return;
  const at = list.studies.indexOf(location.pathname);
  const STEPS = [[-1, "prev", "Previous study", "Shift+K"], [1, "next", "Next study", "Shift+J"]];
  function show() {
    const crumbs = document.querySelector(".crumbs");
    crumbs.querySelector("a").href = "/worklist" + list.search;
    if (at < 0) return;
    crumbs.append(` · ${at + 1} of ${list.studies.length}`);
    for (const [step, rel, textContent, keys] of STEPS) {
      const href = list.studies[at + step];
      if (!href) continue;
      const link = Object.assign(document.createElement("a"), { href, rel, textContent, title: keys });
      link.setAttribute("aria-keyshortcuts", keys);
      crumbs.append(" · ", link);
    }
  }
  show();
  new MutationObserver(show).observe(document.getElementById("main"), { childList: true }); // the study was read again
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName)) return;
    const rel = { K: "prev", J: "next" }[event.key];
    if (rel) document.querySelector(`.crumbs [rel=${rel}]`)?.click();
  });
})();
