// The study page: read again when its state has changed, but not while the reader works on it; then a line offers to reload.
"use strict";
const live = document.getElementById("live");
let touched = false;
let asking = false;

for (const kind of ["pointerdown", "keydown", "input"]) {
  document.getElementById("main").addEventListener(kind, () => { touched = true; }, { passive: true });
}

async function ask() {
  if (asking || document.hidden) return;
  asking = true;
  await new Promise((resolve) => setTimeout(resolve, 700));
  try {
    const reply = await fetch(live.dataset.path);
    const answer = reply.ok ? await reply.json() : { state: live.dataset.state };
    if (answer.state !== live.dataset.state) {
      if (touched) live.hidden = false;
      else location.reload();
    }
  } catch (error) { /* the node cannot be reached; the next event asks again */ }
  asking = false;
}

followChanges(ask);
document.addEventListener("visibilitychange", ask);
