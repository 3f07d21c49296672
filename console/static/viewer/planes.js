// The grey picture of one plane of a volume: values of the slices through the table of the window.

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
  }

  // Draw the plane through voxel index `at` of its axis. Returns the canvas.
  draw(slices, at, table) {
    const [depth, rows, columns] = this.geometry.shape, words = this.words;
    if (this.name === "z") {
      const values = slices.get(at);
      if (values === null) return null;
      for (let index = 0; index < words.length; index++) words[index] = table[values[index] + 32768];
    } else {
      for (let z = 0; z < depth; z++) {
        const start = (this.geometry.flipped ? depth - 1 - z : z) * (this.name === "y" ? columns : rows);
        this.row(slices.get(z), at, start, table, rows, columns);
      }
    }
    this.context.putImageData(this.image, 0, 0);
    return this.canvas;
  }

  row(values, at, start, table, rows, columns) {
    const words = this.words, count = this.name === "y" ? columns : rows;
    if (values === null) words.fill(NOT_LOADED, start, start + count);
    else if (this.name === "y") for (let x = 0; x < columns; x++) words[start + x] = table[values[at * columns + x] + 32768];
    else for (let y = 0; y < rows; y++) words[start + y] = table[values[y * columns + at] + 32768];
  }
}
