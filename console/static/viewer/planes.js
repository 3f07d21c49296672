// The picture of one plane of a volume: grey values of the slices through the table of the window, or their colours.

const NOT_LOADED = 0xff1a1512; // nearly black, A B G R

export class PlanePicture {
  constructor(geometry, name) {
    const { width, height } = geometry.plane(name);
    this.geometry = geometry;
    this.name = name;
    this.canvas = new OffscreenCanvas(width, height);
    this.context = this.canvas.getContext("2d", { alpha: false });
    this.image = this.context.createImageData(width, height);
    this.words = new Uint32Array(this.image.data.buffer);
    const { u, v, flipU, flipV } = geometry.hangings[name];
    // By axis of the volume: by how many pixels the picture goes on from one index to the next; and the pixel of index 0 of all axes.
    this.step = [0, 0, 0];
    this.step[u] = flipU ? -1 : 1;
    this.step[v] = flipV ? -width : width;
    this.start = (flipU ? width - 1 : 0) + (flipV ? (height - 1) * width : 0);
  }

  // Draw the plane through voxel index `at` of its axis. Returns the canvas; null where the one slice of the plane is not there.
  draw(slices, at, table) {
    const [depth, rows, columns] = this.geometry.shape, [dz, dy, dx] = this.step;
    if (this.name === "z") {
      const values = slices.get(at);
      if (values === null) return null;
      for (let y = 0; y < rows; y++) this.line(values, y * columns, 1, columns, this.start + y * dy, dx, table);
    } else {
      const [count, across] = this.name === "y" ? [columns, dx] : [rows, dy];
      for (let z = 0; z < depth; z++) {
        const values = slices.get(z), start = this.start + z * dz;
        if (values === null) for (let index = 0; index < count; index++) this.words[start + index * across] = NOT_LOADED;
        else if (this.name === "y") this.line(values, at * columns, 1, count, start, across, table);
        else this.line(values, at, columns, count, start, across, table);
      }
    }
    this.context.putImageData(this.image, 0, 0);
    return this.canvas;
  }

  // A line of voxels: `count` of them from `from` on, each `stride` after the one before, to the pixels from `to` on, `step` apart.
  line(values, from, stride, count, to, step, table) {
    const words = this.words;
    if (table === null) {
      for (let at = 3 * from, left = count; left > 0; left--, at += 3 * stride, to += step) {
        words[to] = 0xff000000 | (values[at + 2] << 16) | (values[at + 1] << 8) | values[at];
      }
    } else for (let at = from, left = count; left > 0; left--, at += stride, to += step) words[to] = table[values[at] + 32768];
  }
}
