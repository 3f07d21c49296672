// Tells the node that somebody uses the page: keys, clicks, touches and the wheel count, not what pages read by themselves.
// A page whose session has ended leaves for the page of sign-in, so that it shows nothing of a patient any longer.
"use strict";
(() => {
  const TELL_EVERY_MS = 20000;
  const ASK_EVERY_MS = 60000;
  let told = -TELL_EVERY_MS;
  async function ask(used) {
    try {
      const reply = await fetch("/account/session", { headers: { "X-Activity": used ? "yes" : "no" }, cache: "no-store" });
      if (reply.status === 401) location.assign("/sign-in?next=" + encodeURIComponent(location.pathname + location.search) + "&notice=ended");
    } catch (error) { /* the node cannot be reached; asked again later */ }
  }
  function use() {
    if (performance.now() - told < TELL_EVERY_MS) return;
    told = performance.now();
    ask(true);
  }
  // Not "scroll": lists that are read again scroll by themselves. The wheel, a key, a finger and the scroll bar are seen.
  for (const kind of ["pointerdown", "keydown", "wheel", "touchmove"]) addEventListener(kind, use, { passive: true, capture: true });
  setInterval(() => ask(false), ASK_EVERY_MS);
})();
