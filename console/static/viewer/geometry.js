// Planes of a volume: which voxel axis runs to the right, which one down, in which direction, and which letter of the patient lies where.
// Volume: (Z, Y, X). A plane is named by the axis that it is perpendicular to: "z" is the plane of the images, "y" and "x" cut through them.
//
// Planes are displayed as radiologists hang them, whatever the orientation in which they were stored: the patient's right side at the left
// of axial and coronal planes, anterior at the left of sagittal ones; anterior above in axial planes, the head above in the others.

export const AXIS = { z: 0, y: 1, x: 2 };
export const PLANES = ["z", "y", "x"]; // by axis
const SIDES = [["L", "R"], ["P", "A"], ["H", "F"]]; // LPS: positive x is left, positive y posterior, positive z towards the head
// By the patient axis (x, y, z of LPS) that a plane is perpendicular to: its name, and where the patient axes run, as [axis, sign].
// `onward` is the sign of the direction in which its slices are counted: to the left, to posterior, to the feet.
const HANGINGS = [
  { name: "Sagittal", right: [1, 1], down: [2, -1], onward: 1 },
  { name: "Coronal", right: [0, 1], down: [2, -1], onward: 1 },
  { name: "Axial", right: [0, 1], down: [1, 1], onward: -1 },
];

export class Geometry {
  constructor(meta) {
    this.shape = meta.shape;
    this.affine = meta.affine ?? null;
    const spacing = meta.spacing_mm ?? [1, 1, 1];
    this.spacing = spacing.length === 3 ? spacing.map((mm) => mm || 1) : [1, spacing[0], spacing[1]];
    this.isVolume = this.affine !== null && this.shape[0] > 1;
    // Of the voxel axes z, y and x, in LPS; null where they are not known.
    this.directions = this.affine !== null ? [2, 1, 0].map((column) => [0, 1, 2].map((row) => this.affine[row][column])) : directionsOf(meta.orientation);
    this.ordered = meta.values === "HU"; // other images are ordered by their numbers, not by their places
    this.hangings = Object.fromEntries(PLANES.map((name) => [name, this.hang(AXIS[name])]));
  }

  // Which of the two axes of a plane runs to the right, which down, and whether their indices fall in that direction.
  hang(normal) {
    const [first, second] = [0, 1, 2].filter((axis) => axis !== normal).reverse();
    if (this.directions === null) return { name: "Image", u: first, v: second, flipU: false, flipV: false, reversed: false };
    const unit = this.directions.map((direction) => direction.map((value) => value / Math.hypot(...direction)));
    const hanging = HANGINGS[largest(unit[normal])];
    const along = (axis, [patientAxis, sign]) => unit[axis][patientAxis] * sign;
    const fit = (u, v) => Math.abs(along(u, hanging.right)) + Math.abs(along(v, hanging.down));
    const [u, v] = fit(first, second) >= fit(second, first) ? [first, second] : [second, first];
    return {
      name: hanging.name,
      u,
      v,
      flipU: along(u, hanging.right) < 0,
      flipV: along(v, hanging.down) < 0,
      reversed: this.ordered && unit[normal][largest(unit[normal])] * hanging.onward < 0,
    };
  }

  // Width and height in voxels, and the size of a voxel (mm), as the plane is displayed.
  plane(name) {
    const { u, v } = this.hangings[name];
    return { width: this.shape[u], height: this.shape[v], du: this.spacing[u], dv: this.spacing[v] };
  }

  // Voxel (z, y, x) to (u, v) of a plane, in voxels; whole numbers are the upper left corner of a voxel.
  toPlane(name, voxel) {
    const { u, v, flipU, flipV } = this.hangings[name];
    return [flipU ? this.shape[u] - 1 - voxel[u] : voxel[u], flipV ? this.shape[v] - 1 - voxel[v] : voxel[v]];
  }

  // The inverse: (u, v) of the plane through `cross` to a voxel.
  fromPlane(name, right, down, cross) {
    const { u, v, flipU, flipV } = this.hangings[name], voxel = [...cross];
    voxel[u] = flipU ? this.shape[u] - 1 - right : right;
    voxel[v] = flipV ? this.shape[v] - 1 - down : down;
    return voxel;
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

  // Letters at the left, right, upper and lower edge of a plane; null where its orientation is not known.
  letters(name) {
    if (this.directions === null) return null;
    const { u, v, flipU, flipV } = this.hangings[name];
    const [right, left] = ends(this.directions[u], flipU), [bottom, top] = ends(this.directions[v], flipV);
    return { left, right, top, bottom };
  }

  // Axial, coronal or sagittal, by the patient axis that the plane is perpendicular to; else Image.
  planeName(name) {
    return this.hangings[name].name;
  }
}

// The directions of a stack of images with one orientation, along whose normal they are ordered.
function directionsOf(orientation) {
  if (!orientation) return null;
  const row = orientation.slice(0, 3), column = orientation.slice(3);
  return [[1, 2, 0].map((next, axis) => row[next] * column[3 - axis - next] - row[3 - axis - next] * column[next]), column, row];
}

function largest(vector) {
  const sizes = vector.map(Math.abs);
  return sizes.indexOf(Math.max(...sizes));
}

// The letters of the end to which a direction points, and of the other one.
function ends(vector, flipped) {
  const axis = largest(vector), [positive, negative] = SIDES[axis];
  return vector[axis] >= 0 !== flipped ? [positive, negative] : [negative, positive];
}
