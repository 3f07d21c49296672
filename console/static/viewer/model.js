// What is displayed: the images, the position of the cross-hair, window, outlines and heat map. Views read it; nothing here draws.

import { AXIS, Geometry } from "./geometry.js";
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
    this.heat = null;
    this.heatOpacity = 0.45;
    this.masks = null;
    this.mark = null;
    this.pictures = {};
  }

  open(meta) {
    this.meta = meta;
    this.geometry = new Geometry(meta);
    const [depth, rows, columns] = meta.shape;
    this.cross = [meta.first ?? 0, Math.floor(rows / 2), Math.floor(columns / 2)];
    this.depth = depth;
    this.sliceOf = new Map((meta.images ?? []).map(([uid, frame], z) => [`${uid} ${frame}`, z]));
    for (const name of ["z", "y", "x"]) this.pictures[name] = { drawn: "", picture: new PlanePicture(this.geometry, name) };
  }

  addOverlays({ masks, heat }) {
    this.masks = new Masks(masks, this.geometry);
    this.heat = heat === null ? null : new HeatMap(heat, this.geometry);
  }

  // Whether the values are Hounsfield units.
  get hounsfield() {
    return this.page.preset !== "full";
  }

  at(plane) {
    return this.cross[AXIS[plane]];
  }

  // The grey picture of a plane, drawn anew only when something of it has changed; null while the slice is not there.
  picture(plane) {
    if (this.photograph !== null) return this.photograph;
    if (this.slices === null) return null;
    const kept = this.pictures[plane], at = this.at(plane);
    const wanted = `${at} ${this.window.center} ${this.window.width} ${plane === "z" ? "" : this.slices.arrived}`;
    if (kept.drawn === wanted) return kept.picture.canvas;
    const canvas = kept.picture.draw(this.slices, at, this.window.table);
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

  // The finding whose outline contains a voxel.
  findingAt(voxel) {
    return this.findings.find((finding) => this.masks?.contains(finding.ordinal, voxel)) ?? null;
  }

  moveTo(voxel) {
    this.cross = this.geometry.clamp(voxel);
    this.slices?.want(this.cross[0]);
  }

  // Scroll a plane; positive steps go towards the feet where the plane is axial.
  scroll(plane, steps) {
    const axis = AXIS[plane], direction = axis === 0 && this.geometry.flipped ? -1 : 1;
    const moved = [...this.cross];
    moved[axis] += steps * direction;
    this.moveTo(moved);
  }

  // Place of the displayed slice of a plane and their number, counted from the head where the plane is axial.
  place(plane) {
    const axis = AXIS[plane], count = this.geometry.shape[axis], at = this.cross[axis];
    return { place: (axis === 0 && this.geometry.flipped ? count - 1 - at : at) + 1, count };
  }

  goToPlace(plane, place) {
    this.scroll(plane, place - this.place(plane).place);
  }

  valueAt([z, y, x]) {
    const [depth, rows, columns] = this.geometry.shape;
    if (z < 0 || y < 0 || x < 0 || z >= depth || y >= rows || x >= columns) return null;
    return this.slices?.get(z)?.[y * columns + x] ?? null;
  }
}
