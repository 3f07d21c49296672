// Toolbar, slider, texts over the views, list of findings, messages.

import { paintColours } from "./overlays.js";
import { PLANE_COLOURS } from "./viewport.js";

const one = (selector, within = document) => within.querySelector(selector);

export class Controls {
  constructor(viewer) {
    this.viewer = viewer;
    this.slider = one("#slice");
    this.heat = one("#heat");
    this.spoken = null;
    for (const button of document.querySelectorAll("[data-preset]")) button.addEventListener("click", () => viewer.choosePreset(button.dataset.preset));
    for (const button of document.querySelectorAll("[data-tool]")) button.addEventListener("click", () => this.chooseTool(button.dataset.tool));
    for (const button of document.querySelectorAll("[data-plane]")) button.addEventListener("click", () => viewer.showPlane(button.dataset.plane));
    for (const button of document.querySelectorAll("ol.findings [data-finding]")) {
      button.addEventListener("click", () => viewer.goToFinding(Number(button.dataset.finding)));
    }
    const actions = { fit: () => viewer.fit(), outlines: () => viewer.toggle("outlines"), "cross-hair": () => viewer.toggle("cross-hair"), alone: () => viewer.toggle("alone"), help: () => viewer.help(), "news-read": () => this.news(null) };
    for (const button of document.querySelectorAll("[data-action]")) button.addEventListener("click", actions[button.dataset.action]);
    this.slider.addEventListener("input", () => viewer.goToPlace(Number(this.slider.value)));
    this.heat.addEventListener("input", () => viewer.setHeat(Number(this.heat.value) / 100));
    one("#opacity").addEventListener("submit", (event) => event.preventDefault());
  }

  chooseTool(name) {
    this.viewer.tool = this.viewer.tool === name ? null : name;
    this.update();
  }

  // The images are known: show the controls that they need.
  opened(meta) {
    document.body.dataset.kind = this.viewer.model.geometry.isVolume ? "volume" : meta.kind === "image" ? "photograph" : "stack";
    document.body.dataset.values = meta.values ?? "colour";
    const { geometry } = this.viewer.model;
    if (geometry.isVolume) for (const button of document.querySelectorAll("[data-plane]")) button.textContent = geometry.planeName(button.dataset.plane);
    const notes = [...(meta.reason ? [`These images make no volume, so that only the images themselves are shown: ${meta.reason}.`] : []), ...meta.notes];
    const list = one("#notes");
    list.replaceChildren(...notes.map((text) => Object.assign(document.createElement("li"), { textContent: text })));
    list.closest("details").hidden = notes.length === 0;
    this.marks();
  }

  overlays(heat) {
    document.body.classList.toggle("with-heat", heat !== null);
    document.body.classList.toggle("with-outlines", this.viewer.model.hasOutlines);
    this.heat.disabled = heat === null;
    if (heat !== null) paintColours(one("#colours"));
    one("#heat-meaning").textContent = heat === null ? "" : heat.meaning;
    this.marks();
  }

  // Marks beside the slider at the slices of the findings.
  marks() {
    const { model, main } = this.viewer, box = one("#marks");
    if (model.geometry === null || model.place(main.plane).count < 2) { box.replaceChildren(); return; }
    box.replaceChildren(...model.findings.flatMap((finding) => {
      const center = model.centerOf(finding);
      if (center === null) return [];
      const { place, count } = model.place(main.plane, model.geometry.clamp(center)), mark = document.createElement("i");
      mark.style.left = `${((place - 1) / (count - 1)) * 100}%`;
      return [mark];
    }));
  }

  progress(loaded, wanted) {
    const bar = one("#loaded");
    bar.style.width = `${(100 * loaded) / wanted}%`;
    bar.parentElement.classList.toggle("done", loaded >= wanted);
    if (loaded >= wanted) document.body.dataset.loaded = "all";
  }

  placeText(plane) {
    const { model } = this.viewer, { place, count } = model.place(plane);
    return `${model.geometry.planeName(plane).toLowerCase()} slice ${place} of ${count}`;
  }

  update() {
    const { model, views, main } = this.viewer, { window: grey } = model;
    if (model.geometry === null) return;
    for (const view of views) this.texts(view);
    for (const button of document.querySelectorAll("[data-preset]")) button.setAttribute("aria-pressed", String(grey.preset === button.dataset.preset));
    for (const button of document.querySelectorAll("[data-tool]")) button.setAttribute("aria-pressed", String(this.viewer.tool === button.dataset.tool));
    for (const button of document.querySelectorAll("[data-plane]")) button.setAttribute("aria-pressed", String(main.plane === button.dataset.plane));
    one('[data-action="outlines"]').setAttribute("aria-pressed", String(model.outlines && !model.alone));
    one('[data-action="cross-hair"]').setAttribute("aria-pressed", String(model.crossHair && !model.alone));
    one('[data-action="alone"]').setAttribute("aria-pressed", String(model.alone));
    document.body.classList.toggle("alone", model.alone);
    this.heat.value = String(Math.round(model.heatOpacity * 100));
    one("#heat-value").textContent = `${this.heat.value} %`;
    const { place, count } = model.place(main.plane), text = this.placeText(main.plane);
    Object.assign(this.slider, { max: String(count), value: String(place) });
    this.slider.setAttribute("aria-valuetext", text);
    this.slider.disabled = count < 2;
    if (this.plane !== main.plane) this.marks();
    this.plane = main.plane;
    for (const button of document.querySelectorAll("ol.findings [data-finding]")) {
      button.setAttribute("aria-current", String(Number(button.dataset.finding) === model.chosen));
    }
  }

  texts(view) {
    const { model } = this.viewer, { plane, element } = view, { geometry } = model;
    const { place, count } = model.place(plane), [uid, frame] = model.meta.images?.[model.cross[0]] ?? [];
    const number = model.meta.instance_numbers?.[uid], ofFrames = model.meta.images?.filter(([other]) => other === uid).length > 1;
    const title = one(".title", element), letters = geometry.letters(plane);
    title.textContent = model.photograph !== null ? model.meta.levels ? "Slide" : model.page.picture : `${geometry.planeName(plane)} ${place}/${count}`;
    title.style.color = geometry.isVolume ? PLANE_COLOURS[plane] : "";
    one(".detail", element).textContent = plane !== "z" ? "" : ofFrames ? `frame ${frame}` : number !== undefined ? `image ${number}` : "";
    one(".window", element).textContent = model.coloured ? `${geometry.shape[2]} × ${geometry.shape[1]}` : `C ${String(model.window.center).replace("-", "−")}  W ${model.window.width}`;
    for (const side of ["left", "right", "top", "bottom"]) one(`.${side}`, element).textContent = letters?.[side] ?? "";
    element.classList.toggle("loading", model.picture(plane) === null);
    view.canvas.setAttribute("aria-label", model.photograph !== null ? model.page.picture : model.coloured ? `${this.placeText(plane)}, in colour` : `${this.placeText(plane)}, window center ${model.window.center}, width ${model.window.width}`);
  }

  // The value under the pointer.
  hover(view, event) {
    const { model } = this.viewer, field = one(".value", view.element);
    field.textContent = "";
    if (event === null || model.geometry === null) return;
    const [u, v] = view.planeAt(event);
    field.textContent = model.valueAt(model.geometry.fromPlane(view.plane, Math.floor(u), Math.floor(v), model.cross));
  }

  message(title, text = "", busy = false) {
    const box = one("#message");
    box.hidden = title === null;
    box.classList.toggle("busy", busy);
    document.body.classList.toggle("no-images", title !== null && !busy);
    one("h2", box).textContent = title ?? "";
    one("p", box).textContent = text;
    if (title !== null && !busy) this.announce(`${title}. ${text}`);
  }

  // A line below the images that stays until it is read. `link`: where to find it, and in which words.
  news(text, link = null) {
    const box = one("#news"), anchor = one("a", box);
    box.hidden = text === null;
    one("span", box).textContent = text ?? "";
    anchor.hidden = link === null;
    if (link !== null) Object.assign(anchor, { href: link.href, textContent: link.text });
    if (text !== null) this.announce(text);
  }

  announce(text) {
    one("#status").textContent = text;
  }
}
