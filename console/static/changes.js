// Changes of the node, as server-sent events.
"use strict";
const CONNECT_AGAIN_MS = 5000;
// Calls `changed(seconds)` after a change, and after each connect, because what happened while nobody listened was not told. Many
// browsers read within these seconds. A browser connects again by itself where the network was gone, but not after a refusal: a proxy
// refuses while the console restarts.
function followChanges(changed) {
  const source = new EventSource("/worklist/events");
  source.onopen = () => changed(1);
  source.onmessage = (event) => changed(Number(event.data.split(" ")[1] || 1));
  source.onerror = () => {
    if (source.readyState === EventSource.CLOSED) setTimeout(() => { changed(1); followChanges(changed); }, CONNECT_AGAIN_MS);
  };
}
