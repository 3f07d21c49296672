// Outlines and heat map of a result, in every plane.

import { AXIS } from "./geometry.js";

const VIRIDIS = [
  [68, 1, 84], [72, 26, 108], [71, 47, 125], [65, 68, 135], [57, 86, 140], [49, 104, 142], [42, 120, 142], [35, 136, 142],
  [31, 152, 139], [34, 168, 132], [53, 183, 121], [84, 197, 104], [122, 209, 81], [165, 219, 54], [210, 226, 27], [253, 231, 37],
];
// The colours of 0 to 255, between the stops above.
const COLOURS = Array.from({ length: 256 }, (_, value) => {
  const place = (value / 255) * 15, stop = Math.min(14, Math.floor(place)), share = place - stop;
  return [0, 1, 2].map((channel) => Math.round((1 - share) * VIRIDIS[stop][channel] + share * VIRIDIS[stop + 1][channel]));
});
const HEAT_FROM = 26, HEAT_OPAQUE = 102; // of 255: as in the pictures that are sent
const BEHIND = "#808080"; // of the bar of colours: middle grey
const coverOf = (value) => Math.min(1, (value - HEAT_FROM) / (HEAT_OPAQUE - HEAT_FROM));

// The colours of the values that are drawn, from the lowest at the left to 1.
export function paintColours(canvas) {
  const context = canvas.getContext("2d"), { width, height } = canvas;
  context.fillStyle = BEHIND;
  context.fillRect(0, 0, width, height);
  for (let x = 0; x < width; x++) {
    const value = HEAT_FROM + ((255 - HEAT_FROM) * x) / (width - 1);
    context.globalAlpha = coverOf(value);
    context.fillStyle = `rgb(${COLOURS[Math.round(value)].join(" ")})`;
    context.fillRect(x, 0, 1, height);
  }
}

// Bytes as they come, in base64, or as they are already.
export function bytesOf(given) {
  return typeof given === "string" ? Uint8Array.from(atob(given), (letter) => letter.charCodeAt(0)) : given;
}

export class Masks {
  constructor(list, geometry) {
    this.geometry = geometry;
    this.byOrdinal = new Map(list.map((mask) => [mask.ordinal, { ...mask, bits: bytesOf(mask.bits) }]));
    this.paths = new Map();
  }

  has(ordinal) {
    return this.byOrdinal.has(ordinal);
  }

  isSet(mask, [z, y, x]) {
    const [depth, rows, columns] = mask.shape;
    const k = z - mask.origin[0], j = y - mask.origin[1], i = x - mask.origin[2];
    if (k < 0 || j < 0 || i < 0 || k >= depth || j >= rows || i >= columns) return false;
    const at = (k * rows + j) * columns + i;
    return ((mask.bits[at >> 3] >> (7 - (at & 7))) & 1) === 1;
  }

  contains(ordinal, voxel) {
    const mask = this.byOrdinal.get(ordinal);
    return mask !== undefined && this.isSet(mask, voxel);
  }

  // The boundary of a mask on the plane through voxel index `at`: {path, u, v} in voxels of the plane, with (u, v) at its upper end; null where it is empty.
  outline(ordinal, name, at) {
    const key = `${ordinal} ${name} ${at}`;
    if (!this.paths.has(key)) this.paths.set(key, this.trace(this.byOrdinal.get(ordinal), name, at));
    return this.paths.get(key);
  }

  trace(mask, name, at) {
    const axis = AXIS[name];
    if (mask === undefined || at < mask.origin[axis] || at >= mask.origin[axis] + mask.shape[axis]) return null;
    const { u: uAxis, v: vAxis, flipU, flipV } = this.geometry.hangings[name], whole = this.geometry.plane(name);
    const u0 = mask.origin[uAxis], v0 = mask.origin[vAxis], width = mask.shape[uAxis], height = mask.shape[vAxis];
    const grid = new Uint8Array((width + 2) * (height + 2)), stride = width + 2;
    let peak = [0, Infinity];
    for (let v = 0; v < height; v++) {
      for (let u = 0; u < width; u++) {
        const voxel = [0, 0, 0];
        voxel[axis] = at;
        voxel[uAxis] = u0 + u;
        voxel[vAxis] = v0 + v;
        if (this.isSet(mask, voxel)) grid[(v + 1) * stride + u + 1] = 1;
      }
    }
    const path = new Path2D();
    const right = (u) => (flipU ? whole.width - (u0 + u) : u0 + u);
    const down = (v) => (flipV ? whole.height - (v0 + v) : v0 + v);
    const segment = (ua, va, ub, vb) => {
      path.moveTo(right(ua), down(va));
      path.lineTo(right(ub), down(vb));
      const top = Math.min(down(va), down(vb));
      if (top < peak[1]) peak = [(right(ua) + right(ub)) / 2, top];
    };
    for (let v = 0; v <= height; v++) {
      for (let u = 0, begin = -1; u <= width; u++) {
        const edge = u < width && grid[v * stride + u + 1] !== grid[(v + 1) * stride + u + 1];
        if (edge && begin < 0) begin = u;
        if (!edge && begin >= 0) { segment(begin, v, u, v); begin = -1; }
      }
    }
    for (let u = 0; u <= width; u++) {
      for (let v = 0, begin = -1; v <= height; v++) {
        const edge = v < height && grid[(v + 1) * stride + u] !== grid[(v + 1) * stride + u + 1];
        if (edge && begin < 0) begin = v;
        if (!edge && begin >= 0) { segment(u, begin, u, v); begin = -1; }
      }
    }
    return peak[1] === Infinity ? null : { path, u: peak[0], v: peak[1] };
  }

  // The slice on which a mask is largest, and the middle of its box.
  center(ordinal) {
    const { origin, shape, bits } = this.byOrdinal.get(ordinal);
    const [depth, rows, columns] = shape, counts = new Array(depth).fill(0);
    for (let at = 0; at < depth * rows * columns; at++) counts[Math.floor(at / (rows * columns))] += (bits[at >> 3] >> (7 - (at & 7))) & 1;
    return [origin[0] + counts.indexOf(Math.max(...counts)), origin[1] + (rows - 1) / 2, origin[2] + (columns - 1) / 2];
  }
}

export class HeatMap {
  constructor(heat, geometry) {
    this.geometry = geometry;
    this.shape = heat.shape;
    this.origin = heat.origin;
    this.step = heat.step;
    this.meaning = heat.meaning;
    this.values = bytesOf(heat.values);
    this.pictures = new Map();
  }

  value(k, j, i) {
    const [depth, rows, columns] = this.shape;
    return k < 0 || k >= depth ? 0 : this.values[(k * rows + j) * columns + i];
  }

  // The value at a voxel, 0 to 1; 0 where nothing is drawn.
  at(voxel) {
    const cell = voxel.map((index, axis) => Math.round((index - this.origin[axis]) / this.step[axis]));
    const inside = cell.every((index, axis) => index >= 0 && index < this.shape[axis]);
    const value = inside ? this.value(...cell) : 0;
    return value > HEAT_FROM ? value / 255 : 0;
  }

  // Colours on the plane through voxel index `at`: {canvas, u, v, width, height} in voxels of the plane; null where the map has nothing.
  picture(name, at) {
    const key = `${name} ${at}`;
    if (!this.pictures.has(key)) {
      if (this.pictures.size > 200) this.pictures.clear();
      this.pictures.set(key, this.paint(name, at));
    }
    return this.pictures.get(key);
  }

  paint(name, at) {
    const axis = AXIS[name], place = (at - this.origin[axis]) / this.step[axis];
    if (place <= -1 || place >= this.shape[axis]) return null;
    const below = Math.floor(place), share = place - below;
    const { u: uAxis, v: vAxis, flipU, flipV } = this.geometry.hangings[name], whole = this.geometry.plane(name);
    const width = this.shape[uAxis], height = this.shape[vAxis];
    const image = new ImageData(width, height);
    const read = (plane, u, v) => {
      const cell = [0, 0, 0];
      cell[axis] = plane;
      cell[uAxis] = u;
      cell[vAxis] = v;
      return plane < 0 || plane >= this.shape[axis] ? 0 : this.value(...cell);
    };
    let painted = false;
    for (let v = 0; v < height; v++) {
      for (let u = 0; u < width; u++) {
        const value = (1 - share) * read(below, u, v) + (share > 0 ? share * read(below + 1, u, v) : 0);
        if (value <= HEAT_FROM) continue;
        painted = true;
        const colour = COLOURS[Math.round(value)];
        const pixel = (flipV ? height - 1 - v : v) * width + (flipU ? width - 1 - u : u);
        image.data.set([...colour, Math.round(255 * coverOf(value))], 4 * pixel);
      }
    }
    if (!painted) return null;
    const canvas = new OffscreenCanvas(width, height);
    canvas.getContext("2d").putImageData(image, 0, 0);
    const left = this.origin[uAxis] + 0.5 - this.step[uAxis] / 2, across = width * this.step[uAxis];
    const first = this.origin[vAxis] + 0.5 - this.step[vAxis] / 2, length = height * this.step[vAxis];
    return {
      canvas,
      u: flipU ? whole.width - left - across : left,
      v: flipV ? whole.height - first - length : first,
      width: across,
      height: length,
    };
  }
}
