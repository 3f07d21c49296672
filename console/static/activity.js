// Tells the node that somebody uses the page: keys, clicks, touches and the wheel count, not what pages read by themselves.
// A page whose session will soon end says so in time to stay; one whose session has ended leaves for the page of sign-in, so that it
// shows nothing of a patient any longer.
"use strict";
(() => {
  const TELL_EVERY_MS = 20000;
  const ASK_EVERY_MS = 60000;
  const WARN_S = 90; // asked once a minute, it is told at least half a minute before the end
  const UNUSED = "Nothing has been done here for a while: in about a minute you will be signed out. Press a key, or touch the page, to stay signed in.";
  const OLD = "Your session ends in about a minute. Save what you have begun, and sign in again.";
  let told = -TELL_EVERY_MS;
  let answering = false; // somebody stays: the answer is awaited
  const ending = () => document.getElementById("ending");
  function warn(text) {
    if (ending()?.textContent === text) return;
    ending()?.remove();
    if (text) document.body.append(Object.assign(document.createElement("p"), { id: "ending", role: "alert", textContent: text }));
  }
  async function ask(used) {
    try {
      const reply = await fetch("/account/session", { headers: { "X-Activity": used ? "yes" : "no" }, cache: "no-store" });
      if (reply.status === 401) location.assign("/sign-in?next=" + encodeURIComponent(location.pathname + location.search) + "&notice=ended");
      if (reply.status === 204) {
        const left = (name) => Number(reply.headers.get(name));
        warn(left("X-Age-Left") < WARN_S ? OLD : !used && left("X-Idle-Left") < WARN_S ? UNUSED : "");
      }
    } catch (error) { /* the node cannot be reached; asked again later */ }
  }
  async function use() {
    const stays = ending()?.textContent === UNUSED;
    if (answering || (performance.now() - told < TELL_EVERY_MS && !stays)) return;
    told = performance.now();
    answering = true;
    await ask(true);
    answering = false;
  }
  // Not "scroll": lists that are read again scroll by themselves. The wheel, a key, a finger and the scroll bar are seen.
  for (const kind of ["pointerdown", "keydown", "wheel", "touchmove"]) addEventListener(kind, use, { passive: true, capture: true });
  setInterval(() => ask(false), ASK_EVERY_MS);
})();
