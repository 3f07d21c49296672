// The study page: read again in its place, because loading it would count as use of the session,
// when its state has changed, but not while the reader works on it; then a line offers to reload.
"use strict";
const main = document.getElementById("main");
const live = () => document.getElementById("live");
let touched = false;
let asking = false;

for (const kind of ["pointerdown", "keydown", "input"]) {
  document.addEventListener(kind, () => { touched = true; }, { passive: true });
}

async function readAgain() {
  const reply = await fetch(location.pathname, { headers: { "X-Activity": "no" }, cache: "no-store" });
  const page = new DOMParser().parseFromString(await reply.text(), "text/html");
  if (reply.ok && !touched) main.innerHTML = page.getElementById("main").innerHTML;
}

// Whether somebody else has judged a result: the reader's own verdict is on the panel already, or is being sent.
function judged(verdicts) {
  return Object.entries(verdicts).some(([job, last]) => {
    const panel = document.getElementById(`verdicts-${job}`);
    return panel && !panel.dataset.busy && Number(panel.dataset.last) < last;
  });
}

async function ask() {
  if (asking || document.hidden) return;
  asking = true;
  await new Promise((resolve) => setTimeout(resolve, 700));
  try {
    const reply = await fetch(live().dataset.path, { headers: { "X-Activity": "no" } });
    const answer = reply.ok ? await reply.json() : { state: live().dataset.state, verdicts: {} };
    const changed = () => answer.state !== live().dataset.state || judged(answer.verdicts);
    if (changed() && !touched) await readAgain();
    live().hidden = !changed();
  } catch (error) { /* the node cannot be reached; the next event asks again */ }
  asking = false;
}

followChanges(ask);
document.addEventListener("visibilitychange", ask);
document.addEventListener("verdicts:changed", ask);
