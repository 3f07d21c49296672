// The link from a study to the worklist leads to the list that was left, with its filters. It is kept for this tab and this session
// only, because a search may hold the name of a patient.
"use strict";
(() => {
  const name = "worklist " + document.querySelector(".who [name=form_token]").value;
  if (location.pathname === "/worklist") {
    addEventListener("pagehide", () => {
      for (const old of Object.keys(sessionStorage)) if (old.startsWith("worklist ")) sessionStorage.removeItem(old);
      sessionStorage.setItem(name, location.search);
    });
    return;
  }
  document.addEventListener("click", (event) => {
    const link = event.target.closest('.crumbs a[href="/worklist"]'), kept = sessionStorage.getItem(name);
    if (link && kept) link.href = "/worklist" + kept;
  }, { capture: true });
})();
