// The viewer: reads the data of the page, fetches the images, and connects model, views and controls.

import { Controls } from "./controls.js";
import { Growth } from "./growth.js";
import { bindKeys, bindPointer } from "./input.js";
import { Model } from "./model.js";
import { describe, get, pause, reason, Slices } from "./slices.js";
import { connectVerdicts } from "./verdicts.js";
import { Viewport } from "./viewport.js";

class Viewer {
  constructor(page) {
    this.page = page;
    this.model = new Model(page);
    this.views = [...document.querySelectorAll(".view")].map((element) => new Viewport(element, this.model));
    [this.main] = this.views;
    ["z", "y", "x"].forEach((plane, index) => this.views[index]?.show(plane));
    this.controls = new Controls(this);
    this.tool = null; // null: window with a mouse, scroll with a finger
    this.waiting = false;
    // The first image is drawn before anything else is fetched; where none can be drawn, nothing waits for it for long.
    this.drawn = Promise.race([new Promise((resolve) => { this.firstDrawn = resolve; }), pause(1500)]);
    this.marking = false;
    this.failed = false; // no image can be displayed
    for (const view of this.views) bindPointer(view, this);
    bindKeys(this);
    new ResizeObserver(() => this.redraw()).observe(document.querySelector(".stage"));
  }

  async start() {
    if (this.page.problem) { this.controls.message("Nothing to display", this.page.problem); return; }
    this.controls.message("Loading the images", "They are decoded on the server; the first ones appear in a moment.", true);
    const meta = this.page.meta ?? (await this.describe());
    this.failed = meta === null;
    new Growth(this).follow();
    if (this.failed) return;
    this.model.open(meta);
    this.controls.opened(meta);
    if (this.page.first !== undefined && this.page.first !== null) this.model.cross[0] = this.page.first;
    if (meta.kind === "series") this.loadSlices(meta);
    else await this.loadPhotograph();
    await this.drawn;
    await this.fetchOverlays();
    const begin = this.model.findings.find((finding) => finding.ordinal === this.page.begin);
    if (begin !== undefined) this.goToFinding(begin.ordinal);
    else if (this.model.findings.length > 0 && meta.kind === "series") this.goToFinding(this.model.findings[0].ordinal, false);
    this.redraw();
    if (this.page.verdicts !== null) connectVerdicts(this, this.page.verdicts);
  }

  async describe() {
    const early = window.viewerEarly?.meta;
    if (early !== undefined) delete window.viewerEarly.meta;
    const { meta, problem } = await describe(this.page.base, await early);
    if (meta === null) this.controls.message("These images cannot be displayed", problem);
    return meta;
  }

  // `kept`: the slices that are there already, by their place.
  loadSlices(meta, kept = new Map()) {
    const slices = new Slices(this.page.base, meta.shape, this.model.cross[0], {
      colour: meta.values === "colour",
      onLoad: () => { this.controls.progress(slices.loaded, Math.min(slices.depth, slices.most)); this.redraw(); },
      onEnd: (text) => this.controls.message("The images cannot be displayed any more", text),
    });
    slices.adopt(kept);
    this.model.slices = slices;
    slices.start(this.drawn);
  }

  // More images have arrived: the list grows, and the image that is displayed stays.
  grow(base, meta, replaced) {
    const kept = this.model.grow(meta, replaced), before = this.model.slices;
    this.page.base = base;
    before.stop();
    this.loadSlices(meta, kept);
    if (!this.model.geometry.isVolume) this.views.forEach((view, index) => view.show(["z", "y", "x"][index]));
    this.controls.opened(meta);
    this.redraw();
  }

  async loadPhotograph() {
    const reply = await get(`${this.page.base}/picture`);
    if (!reply.ok) { this.controls.message("The photograph cannot be displayed", await reason(reply)); return; }
    // Without colour conversion, so that the pixels are those that the model received.
    this.model.photograph = await createImageBitmap(await reply.blob(), { colorSpaceConversion: "none" });
    this.redraw();
  }

  async fetchOverlays() {
    const reply = await get(`${this.page.base}/overlays`);
    this.model.addOverlays(reply.ok ? await reply.json() : { masks: [], heat: null });
    if (!reply.ok) this.controls.news(`The outlines and the heat map are missing. ${await reason(reply)}`);
    this.controls.overlays(this.model.heat);
  }

  redraw() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      if (this.model.geometry === null) return;
      const shown = this.views.filter((view) => view.element.offsetParent !== null);
      const first = document.body.dataset.shown === undefined; // the large view alone, so that it is seen sooner
      const drawn = (first ? shown.slice(0, 1) : shown).map((view) => view.draw());
      if (drawn[0] && first) {
        performance.mark("viewer-first-image");
        document.body.dataset.shown = "yes";
        this.controls.message(null);
        this.redraw();
        setTimeout(this.firstDrawn); // after the browser has painted it
      }
      this.controls.update();
    });
  }

  scroll(plane, steps) {
    if (this.model.geometry === null) return;
    this.model.scroll(plane, steps);
    this.redraw();
  }

  goToPlace(place) {
    if (this.model.geometry === null) return;
    this.model.goToPlace(this.main.plane, Math.min(place, this.model.place(this.main.plane).count));
    this.redraw();
  }

  goToFinding(ordinal, announce = true) {
    const finding = this.model.findings.find((one) => one.ordinal === ordinal);
    if (finding === undefined || this.model.geometry === null) return;
    this.model.chosen = ordinal;
    const center = this.model.centerOf(finding) ?? this.model.imageOf(finding);
    if (center !== null) this.model.moveTo(center);
    this.tellChosen();
    if (announce) this.controls.announce(`Finding ${ordinal}, ${finding.name}, ${this.controls.placeText(this.main.plane)}`);
    this.redraw();
  }

  goTo(voxel) {
    this.model.moveTo(voxel);
    this.redraw();
  }

  stepFinding(step) {
    const { findings, chosen } = this.model;
    if (findings.length === 0) return;
    const at = findings.findIndex((finding) => finding.ordinal === chosen);
    this.goToFinding(findings[(at + step + findings.length) % findings.length].ordinal);
  }

  // The images of the earlier examination, at the finding that was matched to the chosen one.
  showEarlier() {
    document.querySelector(`ol.findings li:has([data-finding="${this.model.chosen}"]) [data-earlier]`)?.click();
  }

  // A click: the cross-hair moves there, and a finding whose outline contains the point is chosen.
  pick(viewport, event) {
    if (this.model.geometry === null) return;
    const [u, v] = viewport.planeAt(event), { width, height } = this.model.geometry.plane(viewport.plane);
    if (u < 0 || v < 0 || u >= width || v >= height) return;
    this.model.moveTo(this.model.geometry.fromPlane(viewport.plane, Math.floor(u), Math.floor(v), this.model.cross));
    const finding = this.model.findingAt(this.model.cross);
    if (finding !== null) {
      this.model.chosen = finding.ordinal;
      this.tellChosen();
    }
    this.redraw();
  }

  // Keys of the verdict panel act on the finding that is shown.
  tellChosen() {
    const finding = this.model.findings.find((one) => one.ordinal === this.model.chosen);
    if (finding !== undefined) document.dispatchEvent(new CustomEvent("viewer:chosen", { detail: { finding: finding.id } }));
  }

  // Between `mark(true)` and `endMark` a click marks a place, and a drag a circle.
  mark(on) {
    this.marking = on;
    this.model.mark = null;
    document.body.classList.toggle("marking", on);
    if (on) this.controls.announce("Click the place on the image, or drag across it to give its size. Escape ends.");
    this.redraw();
  }

  beginMark(viewport, event) {
    const start = viewport.planeAt(event);
    this.model.mark = { plane: viewport.plane, start, end: start };
  }

  // A second finger zooms: it marks nothing.
  dropMark() {
    this.model.mark = null;
  }

  growMark(viewport, event) {
    if (this.model.mark !== null) this.model.mark.end = viewport.planeAt(event);
  }

  // Tell the place, and the diameter where one was drawn.
  endMark() {
    const { model } = this, { mark } = model;
    if (mark === null) return;
    const { du, dv, width, height } = model.geometry.plane(mark.plane);
    const u = (mark.start[0] + mark.end[0]) / 2, v = (mark.start[1] + mark.end[1]) / 2;
    const size = Math.hypot((mark.end[0] - mark.start[0]) * du, (mark.end[1] - mark.start[1]) * dv);
    if (u < 0 || v < 0 || u >= width || v >= height) return;
    const voxel = model.geometry.fromPlane(mark.plane, u - 0.5, v - 0.5, model.cross);
    const detail = model.pointAt(voxel);
    if (size > 1 && model.meta.spacing_mm) detail.diameter_mm = size;
    model.moveTo(voxel);
    this.mark(false);
    document.dispatchEvent(new CustomEvent("viewer:marked", { detail }));
  }

  hover(viewport, event) {
    this.controls.hover(viewport, event);
  }

  toolFor(pointerType) {
    return this.tool ?? (this.model.coloured ? (pointerType === "touch" && this.model.photograph === null ? "scroll" : "pan") : pointerType === "touch" ? "scroll" : "window");
  }

  dragWindow(dx, dy) {
    const { window: grey } = this.model, step = Math.max(1, grey.width / 400);
    grey.set(grey.center + dy * step, grey.width + dx * step);
  }

  choosePreset(name) {
    this.model.window.choose(this.model.hounsfield ? name : "full");
    this.redraw();
  }

  // While the images are shown alone, each key brings back what was drawn over them.
  toggle(what) {
    const { model } = this, { alone } = model;
    model.alone = what === "alone" && !alone;
    if (what === "outlines" && !alone) model.outlines = !model.outlines;
    if (what === "cross-hair" && !alone) model.crossHair = !model.crossHair;
    this.redraw();
  }

  setHeat(opacity) {
    this.model.alone = false;
    this.model.heatOpacity = opacity;
    this.redraw();
  }

  toggleHeat() {
    this.setHeat(this.model.heatOpacity > 0 && !this.model.alone ? 0 : 0.45);
  }

  // Show a plane in the large view; the small views show the others.
  showPlane(plane) {
    if (!this.model.geometry?.isVolume) return;
    const order = [plane, ...["z", "y", "x"].filter((other) => other !== plane)];
    this.views.forEach((view, index) => view.show(order[index]));
    this.redraw();
  }

  nextPlane() {
    this.showPlane({ z: "y", y: "x", x: "z" }[this.main.plane]);
  }

  zoom(factor) {
    const box = this.main.canvas.getBoundingClientRect();
    this.main.zoomAt({ clientX: box.left + box.width / 2, clientY: box.top + box.height / 2 }, factor);
    this.redraw();
  }

  fit() {
    this.views.forEach((view) => view.fit());
    this.redraw();
  }

  help() {
    document.getElementById("help").showModal();
  }
}

export const viewer = new Viewer(JSON.parse(document.getElementById("viewer-data").textContent));
viewer.start();
