// Changes of the node, as server-sent events.
"use strict";
const CONNECT_AGAIN_MS = 5000;
const LOST_AFTER_MS = 8000;
let lost = null; // the timer of a connection that is gone
// Says at the lower edge that the page may show an older state; null takes it away.
function warnOfOldState(text) {
  document.getElementById("old-state")?.remove();
  if (text === null) return;
  document.body.append(Object.assign(document.createElement("p"), { id: "old-state", role: "alert", textContent: text }));
}
// A list that htmx could not read again stays as it was.
for (const kind of ["htmx:sendError", "htmx:responseError"]) {
  document.addEventListener(kind, () => warnOfOldState("The node could not answer: the list is that of before. Try again."));
}
document.addEventListener("htmx:afterSwap", () => warnOfOldState(null));
// Calls `changed(seconds)` after a change, and after each connect, because what happened while nobody listened was not told. Many
// browsers read within these seconds. A browser connects again by itself where the network was gone, but not after a refusal: a proxy
// refuses while the console restarts.
function followChanges(changed) {
  const source = new EventSource("/worklist/events");
  source.onopen = () => {
    clearTimeout(lost);
    lost = null;
    warnOfOldState(null);
    changed(1);
  };
  source.onmessage = (event) => changed(Number(event.data.split(" ")[1] || 1));
  source.onerror = () => {
    lost ??= setTimeout(() => warnOfOldState("No connection to the node: what you see may be old."), LOST_AFTER_MS);
    if (source.readyState === EventSource.CLOSED) setTimeout(() => { changed(1); followChanges(changed); }, CONNECT_AGAIN_MS);
  };
}
