// Planes of a volume: which voxel axis runs to the right, which one down, and which letter of the patient lies where.
// Volume: (Z, Y, X). A plane is named by the axis that it is perpendicular to: "z" is the plane of the images, "y" and "x" cut through them.

export const AXIS = { z: 0, y: 1, x: 2 };
const SIDES = [["L", "R"], ["P", "A"], ["H", "F"]]; // LPS: positive x is left, positive y posterior, positive z towards the head

export class Geometry {
  constructor(meta) {
    this.shape = meta.shape;
    this.affine = meta.affine ?? null;
    const spacing = meta.spacing_mm ?? [1, 1, 1];
    this.spacing = spacing.length === 3 ? spacing.map((mm) => mm || 1) : [1, spacing[0], spacing[1]];
    this.isVolume = this.affine !== null && this.shape[0] > 1;
    // Reformatted planes show the head above the feet.
    this.flipped = this.isVolume && this.affine[2][2] > 0;
  }

  // Width and height in voxels, and the size of a voxel (mm), as the plane is displayed.
  plane(name) {
    const [depth, rows, columns] = this.shape, [dz, dy, dx] = this.spacing;
    if (name === "z") return { width: columns, height: rows, du: dx, dv: dy };
    if (name === "y") return { width: columns, height: depth, du: dx, dv: dz };
    return { width: rows, height: depth, du: dy, dv: dz };
  }

  // Voxel (z, y, x) to (u, v) of a plane, in voxels; whole numbers are the upper left corner of a voxel.
  toPlane(name, [z, y, x]) {
    if (name === "z") return [x, y];
    const v = this.flipped ? this.shape[0] - 1 - z : z;
    return [name === "y" ? x : y, v];
  }

  // The inverse: (u, v) of the plane through `cross` to a voxel.
  fromPlane(name, u, v, cross) {
    if (name === "z") return [cross[0], v, u];
    const z = this.flipped ? this.shape[0] - 1 - v : v;
    return name === "y" ? [z, cross[1], u] : [z, u, cross[2]];
  }

  clamp(voxel) {
    return voxel.map((value, axis) => Math.min(this.shape[axis] - 1, Math.max(0, Math.round(value))));
  }

  // LPS millimetres to (z, y, x), by Cramer's rule on the 3 x 3 part of the affine.
  voxelOf(lps) {
    const a = this.affine;
    const b = [0, 1, 2].map((row) => lps[row] - a[row][3]);
    const det = (m) =>
      m[0][0] * (m[1][1] * m[2][2] - m[1][2] * m[2][1]) - m[0][1] * (m[1][0] * m[2][2] - m[1][2] * m[2][0]) +
      m[0][2] * (m[1][0] * m[2][1] - m[1][1] * m[2][0]);
    const part = [0, 1, 2].map((row) => [a[row][0], a[row][1], a[row][2]]);
    const whole = det(part);
    const solve = (column) => det(part.map((row, index) => row.map((value, at) => (at === column ? b[index] : value)))) / whole;
    return [solve(2), solve(1), solve(0)];
  }

  lpsOf([z, y, x]) {
    return [0, 1, 2].map((row) => this.affine[row][0] * x + this.affine[row][1] * y + this.affine[row][2] * z + this.affine[row][3]);
  }

  // Letters at the left, right, upper and lower edge of a plane.
  letters(name) {
    if (!this.affine) return null;
    const direction = (axis) => [0, 1, 2].map((row) => this.affine[row][2 - axis]);
    const down = name === "z" ? 1 : 0;
    const right = name === "x" ? 1 : 2;
    const flip = name !== "z" && this.flipped ? -1 : 1;
    const [rightEnd, leftEnd] = ends(direction(right)), [downEnd, upEnd] = ends(direction(down).map((value) => value * flip));
    return { left: leftEnd, right: rightEnd, top: upEnd, bottom: downEnd };
  }

  // Axial, coronal or sagittal, by the patient axis that the plane is perpendicular to.
  planeName(name) {
    if (!this.affine) return "Image";
    const normal = [0, 1, 2].map((row) => Math.abs(this.affine[row][2 - AXIS[name]]));
    return ["Sagittal", "Coronal", "Axial"][normal.indexOf(Math.max(...normal))];
  }
}

function ends(vector) {
  const sizes = vector.map(Math.abs), axis = sizes.indexOf(Math.max(...sizes));
  const [positive, negative] = SIDES[axis];
  return vector[axis] >= 0 ? [positive, negative] : [negative, positive];
}
