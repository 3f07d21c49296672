// What is displayed: the images, the position of the cross-hair, window, outlines and heat map. Views read it; nothing here draws.

import { AXIS, Geometry } from "./geometry.js";
import { moveHeat, moveMask } from "./moved_overlays.js";
import { HeatMap, Masks } from "./overlays.js";
import { PlanePicture } from "./planes.js";
import { GreyWindow } from "./window.js";

export class Model {
  constructor(page) {
    this.page = page;
    this.findings = page.findings;
    this.geometry = null;
    this.slices = null;
    this.photograph = null;
    this.window = new GreyWindow(page.preset);
    this.cross = [0, 0, 0];
    this.chosen = null;
    this.outlines = true;
    this.crossHair = true;
    this.alone = false; // the images without anything over them
    this.heat = null;
    this.heatOpacity = 0.45;
    this.overlays = null;
    this.masks = null;
    this.mark = null;
    this.pictures = {};
  }

  open(meta) {
    this.meta = meta;
    this.geometry = new Geometry(meta);
    const [depth, rows, columns] = meta.shape;
    this.values = meta.values ?? null;
    if (this.values !== "HU" && this.window.preset !== "full") this.window.choose("full");
    this.cross = [meta.first ?? 0, Math.floor(rows / 2), Math.floor(columns / 2)];
    this.depth = depth;
    this.sliceOf = new Map((meta.images ?? []).map(([uid, frame], z) => [`${uid} ${frame}`, z]));
    for (const name of ["z", "y", "x"]) this.pictures[name] = { drawn: "", picture: new PlanePicture(this.geometry, name) };
  }

  addOverlays(overlays) {
    this.overlays = { ...overlays, places: this.places() };
    this.placeOverlays();
  }

  // The images in their order, as keys of `sliceOf`.
  places() {
    return (this.meta.images ?? []).map(([uid, frame]) => `${uid} ${frame}`);
  }

  // Outlines and heat map name slices by their place among the images of the result; more images may lie between these now.
  placeOverlays() {
    const { masks, heat, places } = this.overlays, now = this.places();
    const moved = places.length === now.length ? null : places.map((key) => this.sliceOf.get(key));
    this.masks = new Masks(moved === null ? masks : masks.map((mask) => moveMask(mask, moved)), this.geometry);
    const moving = heat !== null && moved !== null;
    this.heat = heat === null ? null : new HeatMap(moving ? moveHeat(heat, moved, now.length) : heat, this.geometry);
  }

  // Take over the description of more images. The displayed image stays. Returns the slices that are there already, by their new place.
  grow(meta, replaced) {
    const before = { places: this.places(), slices: this.slices, meta: this.meta, cross: this.cross };
    this.open(meta);
    const [, y, x] = before.cross, [, rows, columns] = meta.shape, shown = this.sliceOf.get(before.places[before.cross[0]]);
    this.cross = this.geometry.clamp([shown ?? before.cross[0], y, x]);
    if (this.overlays) this.placeOverlays();
    const kept = new Map(), same = before.meta.shape[1] === rows && before.meta.shape[2] === columns && before.meta.values === meta.values;
    before.places.forEach((key, place) => {
      const at = this.sliceOf.get(key), values = before.slices.get(place);
      if (same && at !== undefined && values !== null && !replaced.includes(key.split(" ")[0])) kept.set(at, values);
    });
    return kept;
  }

  // Whether the values are Hounsfield units; the page says what they probably are until the images are known.
  get hounsfield() {
    return this.values === null ? this.page.preset !== "full" : this.values === "HU";
  }

  // Whether the images have colours, which no window changes (PS3.3 C.11.2).
  get coloured() {
    return this.values === "colour" || this.photograph !== null;
  }

  at(plane) {
    return this.cross[AXIS[plane]];
  }

  // The picture of a plane, drawn anew only when something of it has changed; null while the slice is not there.
  picture(plane) {
    if (this.photograph !== null) return this.photograph;
    if (this.slices === null) return null;
    const kept = this.pictures[plane], at = this.at(plane);
    const wanted = `${at} ${this.window.center} ${this.window.width} ${plane === "z" ? "" : this.slices.arrived}`;
    if (kept.drawn === wanted) return kept.picture.canvas;
    const canvas = kept.picture.draw(this.slices, at, this.coloured ? null : this.window.table);
    if (canvas !== null) kept.drawn = wanted;
    return canvas;
  }

  // The outline of a finding on a plane: its mask, or a circle of its diameter where it has none; null where the plane does not show it.
  shapeOf(finding, plane) {
    if (this.masks?.has(finding.ordinal)) return this.masks.outline(finding.ordinal, plane, this.at(plane));
    const center = this.centerOf(finding);
    if (center === null || this.masks === null) return null;
    const { du, dv } = this.geometry.plane(plane), axis = AXIS[plane];
    const across = (center[axis] - this.at(plane)) * this.geometry.spacing[axis], radius = (finding.diameter ?? this.markSize()) / 2;
    if (Math.abs(across) > Math.max(radius, this.geometry.spacing[axis] / 2)) return null;
    const cut = Math.sqrt(Math.max(0, radius * radius - across * across)) || radius / 4;
    const [u, v] = this.geometry.toPlane(plane, center), path = new Path2D();
    path.ellipse(u + 0.5, v + 0.5, cut / du, cut / dv, 0, 0, 2 * Math.PI);
    return { path, u: u + 0.5, v: v + 0.5 - cut / dv };
  }

  // The voxel of a finding: the image and point that its result names, else its position in the patient, else the middle of its outline.
  centerOf(finding) {
    const named = finding.point ? this.voxelAt(finding.image, finding.frame, finding.point) : null;
    if (named !== null) return named;
    if (finding.position && this.geometry.affine) return this.geometry.voxelOf(finding.position);
    if (this.masks?.has(finding.ordinal)) return this.masks.center(finding.ordinal);
    return null;
  }

  // The voxel of a point, (column, row), on an image; null where it is none of the images.
  voxelAt(image, frame, [column, row]) {
    const z = this.sliceOf.get(`${image} ${frame ?? 1}`);
    const scale = this.meta.levels?.[image]; // of a whole slide: pixels of the overview for one of the level
    if (scale) return [0, row * scale[0] - 0.5, column * scale[1] - 0.5];
    return z === undefined ? null : [z, row - 0.5, column - 0.5];
  }

  // The image, frame, column and row of a voxel, in pixels (PS3.3 C.18.6); on a whole slide those of its finest level.
  pointAt(voxel) {
    const column = voxel[2] + 0.5, row = voxel[1] + 0.5, levels = Object.entries(this.meta.levels ?? {});
    if (levels.length > 0) {
      const [image, [down, across]] = levels.reduce((finest, level) => (level[1][0] < finest[1][0] ? level : finest));
      return { image, frame: null, column: column / across, row: row / down };
    }
    const [image, frame] = this.meta.images?.[this.geometry.clamp(voxel)[0]] ?? [this.page.image, null];
    return { image, frame, column, row };
  }

  // The image of a finding that names no point on it, at the place of the cross-hair; null where the images do not have it.
  imageOf(finding) {
    const z = this.sliceOf.get(`${finding.image} ${finding.frame ?? 1}`);
    return z === undefined ? null : [z, this.cross[1], this.cross[2]];
  }

  // Diameter of the circle around a finding without one, in millimetres.
  markSize() {
    return this.meta.levels ? 0.05 * this.geometry.shape[2] * this.geometry.spacing[2] : 10;
  }

  // Whether the images show where any of the findings lies: by its outline, or a circle.
  get hasOutlines() {
    return this.findings.some((finding) => this.masks?.has(finding.ordinal) || this.centerOf(finding) !== null);
  }

  // The finding whose outline contains a voxel.
  findingAt(voxel) {
    return this.findings.find((finding) => this.masks?.contains(finding.ordinal, voxel)) ?? null;
  }

  moveTo(voxel) {
    this.cross = this.geometry.clamp(voxel);
    this.slices?.want(this.cross[0]);
  }

  // Scroll a plane; positive steps go towards the feet, to posterior or to the left.
  scroll(plane, steps) {
    const moved = [...this.cross];
    moved[AXIS[plane]] += this.geometry.hangings[plane].reversed ? -steps : steps;
    this.moveTo(moved);
  }

  // Place of the slice of a plane through a voxel and their number, counted from the head, from anterior or from the right.
  place(plane, voxel = this.cross) {
    const count = this.geometry.shape[AXIS[plane]], at = voxel[AXIS[plane]];
    return { place: (this.geometry.hangings[plane].reversed ? count - 1 - at : at) + 1, count };
  }

  goToPlace(plane, place) {
    this.scroll(plane, place - this.place(plane).place);
  }

  // The value of a voxel as it is written beside the pointer; "" where there is none.
  valueAt(voxel) {
    const evidence = this.alone || this.heatOpacity === 0 ? 0 : this.heat?.at(voxel) ?? 0;
    return [this.pixelAt(voxel), evidence > 0 ? `heat map ${evidence.toFixed(2)}` : ""].filter(Boolean).join(" · ");
  }

  pixelAt([z, y, x]) {
    const [depth, rows, columns] = this.geometry.shape, values = this.slices?.get(z);
    if (!values || y < 0 || x < 0 || z >= depth || y >= rows || x >= columns) return "";
    const at = y * columns + x;
    if (this.coloured) return `R ${values[3 * at]} G ${values[3 * at + 1]} B ${values[3 * at + 2]}`;
    return this.hounsfield ? `${values[at]} HU` : String(values[at]);
  }
}
