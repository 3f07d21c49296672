// One view on a canvas: a plane, its zoom and position, and what is drawn over it.

import { PLANES } from "./geometry.js";

const OUTLINE = "#56dcff", CHOSEN = "#ffd166", MARK = "#ff8fd0", HALO = "rgba(0, 0, 0, 0.65)";
export const PLANE_COLOURS = { z: "#7aa7ff", y: "#74d69a", x: "#ffb26b" };

export class Viewport {
  constructor(element, model) {
    this.element = element;
    this.canvas = element.querySelector("canvas");
    this.context = this.canvas.getContext("2d", { alpha: false });
    this.model = model;
    this.plane = "z";
    this.fit();
  }

  fit() {
    this.zoom = 1;
    this.pan = [0, 0];
  }

  show(plane) {
    if (plane !== this.plane) this.fit();
    this.plane = plane;
  }

  resize() {
    const box = this.canvas.parentElement.getBoundingClientRect(), ratio = window.devicePixelRatio || 1;
    const width = Math.max(1, Math.round(box.width * ratio)), height = Math.max(1, Math.round(box.height * ratio));
    if (this.canvas.width !== width || this.canvas.height !== height) Object.assign(this.canvas, { width, height });
    this.ratio = ratio;
  }

  // Device pixels per voxel to the right and down, and the corner of the image.
  layout() {
    const { width, height, du, dv } = this.model.geometry.plane(this.plane);
    const perMm = Math.min(this.canvas.width / (width * du), this.canvas.height / (height * dv)) * this.zoom;
    const sx = perMm * du, sy = perMm * dv;
    return {
      sx,
      sy,
      left: (this.canvas.width - width * sx) / 2 + this.pan[0] * this.ratio,
      top: (this.canvas.height - height * sy) / 2 + this.pan[1] * this.ratio,
    };
  }

  // (u, v) of the plane at a position of the pointer, in voxels.
  planeAt(event) {
    const box = this.canvas.getBoundingClientRect(), { sx, sy, left, top } = this.layout();
    return [((event.clientX - box.left) * this.ratio - left) / sx, ((event.clientY - box.top) * this.ratio - top) / sy];
  }

  // Change the zoom so that the point under the pointer stays where it is.
  zoomAt(event, factor) {
    const before = this.planeAt(event);
    this.zoom = Math.min(40, Math.max(0.25, this.zoom * factor));
    const after = this.planeAt(event), { sx, sy } = this.layout();
    this.pan[0] += ((after[0] - before[0]) * sx) / this.ratio;
    this.pan[1] += ((after[1] - before[1]) * sy) / this.ratio;
  }

  draw() {
    this.resize();
    const { context, model } = this;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.fillStyle = "#000";
    context.fillRect(0, 0, this.canvas.width, this.canvas.height);
    if (!model.geometry) return false;
    const picture = model.picture(this.plane);
    if (picture === null) return false;
    const layout = this.layout(), { width, height } = model.geometry.plane(this.plane);
    context.imageSmoothingEnabled = layout.sx < 6;
    context.imageSmoothingQuality = "high";
    context.setTransform(layout.sx, 0, 0, layout.sy, layout.left, layout.top);
    context.drawImage(picture, 0, 0, width, height);
    if (!model.alone) {
      this.drawHeat();
      if (model.outlines) this.drawOutlines(layout);
      if (model.crossHair && model.geometry.isVolume) this.drawCrossHair(layout);
    }
    if (model.mark?.plane === this.plane) this.drawMark(layout);
    return true;
  }

  drawHeat() {
    const { context, model } = this, heat = model.heat;
    if (!heat || model.heatOpacity <= 0) return;
    const part = heat.picture(this.plane, model.at(this.plane));
    if (part === null) return;
    context.globalAlpha = model.heatOpacity;
    context.imageSmoothingEnabled = true;
    context.drawImage(part.canvas, part.u, part.v, part.width, part.height);
    context.globalAlpha = 1;
  }

  drawOutlines(layout) {
    for (const finding of this.model.findings) {
      const shape = this.model.shapeOf(finding, this.plane);
      if (shape === null) continue;
      const chosen = finding.ordinal === this.model.chosen, line = (chosen ? 2.5 : 1.75) * this.ratio;
      this.stroke(shape.path, layout, line + 2 * this.ratio, HALO);
      this.stroke(shape.path, layout, line, chosen ? CHOSEN : OUTLINE);
      const x = layout.left + shape.u * layout.sx, y = Math.max(layout.top + shape.v * layout.sy - 6 * this.ratio, 14 * this.ratio);
      this.label(String(finding.ordinal), x, y, chosen ? CHOSEN : OUTLINE);
      this.context.setTransform(layout.sx, 0, 0, layout.sy, layout.left, layout.top);
    }
  }

  // Stroke a path of the plane with a line whose width is in device pixels, although the plane may be scaled unevenly.
  stroke(path, layout, width, colour) {
    const { context } = this, scaled = new Path2D();
    scaled.addPath(path, new DOMMatrix([layout.sx, 0, 0, layout.sy, layout.left, layout.top]));
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.lineWidth = width;
    context.lineJoin = context.lineCap = "round";
    context.strokeStyle = colour;
    context.stroke(scaled);
  }

  label(text, x, y, colour) {
    const { context } = this;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.font = `600 ${13 * this.ratio}px system-ui, sans-serif`;
    context.textAlign = "center";
    context.lineWidth = 3 * this.ratio;
    context.strokeStyle = HALO;
    context.strokeText(text, x, y);
    context.fillStyle = colour;
    context.fillText(text, x, y);
  }

  drawMark(layout) {
    const { start, end } = this.model.mark, { du, dv } = this.model.geometry.plane(this.plane), path = new Path2D();
    const radius = Math.max(1, Math.hypot((end[0] - start[0]) * du, (end[1] - start[1]) * dv) / 2);
    path.ellipse((start[0] + end[0]) / 2, (start[1] + end[1]) / 2, radius / du, radius / dv, 0, 0, 2 * Math.PI);
    this.stroke(path, layout, 3.5 * this.ratio, HALO);
    this.stroke(path, layout, 2 * this.ratio, MARK);
  }

  drawCrossHair(layout) {
    const { context, model, plane } = this;
    const [u, v] = model.geometry.toPlane(plane, model.cross);
    const x = layout.left + (u + 0.5) * layout.sx, y = layout.top + (v + 0.5) * layout.sy, gap = 14 * this.ratio;
    const hanging = model.geometry.hangings[plane], upright = PLANES[hanging.u], level = PLANES[hanging.v];
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.globalAlpha = 0.7;
    context.lineWidth = this.ratio;
    const line = (x1, y1, x2, y2, colour) => {
      context.strokeStyle = colour;
      context.beginPath();
      context.moveTo(x1, y1);
      context.lineTo(x2, y2);
      context.stroke();
    };
    line(x, 0, x, y - gap, PLANE_COLOURS[upright]);
    line(x, y + gap, x, this.canvas.height, PLANE_COLOURS[upright]);
    line(0, y, x - gap, y, PLANE_COLOURS[level]);
    line(x + gap, y, this.canvas.width, y, PLANE_COLOURS[level]);
    context.globalAlpha = 1;
  }
}
