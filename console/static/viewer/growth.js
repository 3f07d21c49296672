// Follows the unit while the viewer is open: images that arrive join the list, and a newer result is offered.
// The displayed image, zoom, window and cross-hair stay as they are: nobody who reads is moved.

import { describe, get } from "./slices.js";

const ASK_AGAIN_MS = 4000; // while images are expected: no event tells of each
const SETTLED_MS = 2500; // a series that arrives is read when none has come for so long,
const LONGEST_WAIT_MS = 20000; // or after so long

export class Growth {
  constructor(viewer) {
    this.viewer = viewer;
    this.asking = false;
    this.again = false; // whether something changed while the answer was awaited
    this.timer = null;
    this.seen = { images: 0, since: 0, first: 0 }; // the number of images that were told of, since when, and since when they are others
    this.refused = 0; // the number of images that cannot be shown
    this.result = viewer.page.result;
    this.offer = null; // the link to a newer result
    this.units = viewer.page.units;
  }

  follow() {
    window.followChanges((seconds) => this.askIn(1000 * Math.random() * seconds));
    document.addEventListener("visibilitychange", () => this.askIn(0));
  }

  askIn(ms) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.ask(), ms);
  }

  async ask() {
    if (document.hidden) return;
    this.again = this.asking;
    if (this.asking) return;
    this.asking = true;
    try {
      const reply = await fetch(`${this.viewer.page.base}/state`, { headers: { "X-Activity": "no" }, cache: "no-store", redirect: "manual" });
      if (reply.ok) await this.take(await reply.json());
      else if (reply.status >= 500) this.askIn(ASK_AGAIN_MS);
    } catch { // the node cannot be reached
      this.askIn(ASK_AGAIN_MS);
    }
    this.asking = false;
    if (this.again) await this.ask();
  }

  async take(now) {
    if (now.receiving) this.askIn(ASK_AGAIN_MS);
    if (now.result !== null && now.result !== this.result) {
      this.result = now.result;
      this.offer = { href: `?job=${now.result}`, text: "Show the newer result" };
      this.viewer.controls.news("These images were analysed again.", this.offer);
    }
    if (now.units !== this.units) await this.listUnits(now.units);
    if (!now.changed || now.images === this.refused) return;
    const at = performance.now(), { seen } = this;
    if (seen.first === 0) seen.first = at;
    if (seen.images !== now.images) Object.assign(seen, { images: now.images, since: at });
    if (now.receiving && at - seen.since < SETTLED_MS && at - seen.first < LONGEST_WAIT_MS) this.askIn(SETTLED_MS);
    else await this.grow(now.images);
  }

  // The study has other series or single images than before.
  async listUnits(units) {
    const reply = await get(`${this.viewer.page.base}/of-study`, { "X-Activity": "no" });
    if (!reply.ok) return;
    const box = document.getElementById("of-study"), added = units - this.units, closed = box.querySelector("details:not([open])") !== null;
    this.units = units;
    box.innerHTML = await reply.text();
    if (closed) box.querySelector("details")?.removeAttribute("open");
    if (added > 0) this.viewer.controls.news("More images of this study have arrived.", { href: "#of-study", text: "See the list" });
  }

  async grow(images) {
    const { viewer } = this, { model, controls } = viewer;
    if (viewer.failed) window.location.reload(); // nothing is displayed
    if (model.geometry === null) return;
    if (viewer.marking) { this.askIn(SETTLED_MS); return; }
    this.seen = { images: 0, since: 0, first: 0 };
    if (model.photograph !== null) {
      this.refused = images;
      controls.news("The image was replaced by another one.", { href: window.location.href, text: "Show it" });
      return;
    }
    const [uid] = model.meta.images[model.cross[0]], address = `${viewer.page.base}/newer?image=${encodeURIComponent(uid)}`;
    const reply = await get(address, { "X-Activity": "no" });
    if (!reply.ok) return;
    const answer = await reply.json(), before = new Set(model.places());
    if (!answer.covered) {
      this.refused = images;
      controls.news("Images of this result were replaced since. You see those that the model was given.", this.offer);
      return;
    }
    const { meta, problem } = await describe(answer.base);
    if (meta === null) {
      this.refused = images;
      controls.news(`Images have arrived, but the series cannot be displayed with them: ${problem}`, this.offer);
      return;
    }
    viewer.grow(answer.base, meta, answer.replaced);
    const added = model.places().filter((key) => !before.has(key)).length, newer = document.getElementById("newer");
    if (newer !== null) newer.hidden = false;
    controls.news(added > 0 ? `${window.counted(added, "new image")}, ${model.depth} in all.` : "Images of this series were replaced by others.", this.offer);
  }
}
