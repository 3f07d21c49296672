// Outlines and heat map of a result among more images than the result was made of. `moved`: the new place of each of its slices.

import { bytesOf } from "./overlays.js";

// A mask over the slices from its first to its last one; slices between them that the model was not given are empty.
export function moveMask(mask, moved) {
  const [depth, rows, columns] = mask.shape, size = rows * columns, bits = bytesOf(mask.bits);
  const places = Array.from({ length: depth }, (_, k) => moved[mask.origin[0] + k]), first = Math.min(...places);
  const shape = [Math.max(...places) - first + 1, rows, columns], made = new Uint8Array(Math.ceil((shape[0] * size) / 8));
  places.forEach((place, k) => {
    for (let index = 0; index < size; index++) {
      const from = k * size + index, to = (place - first) * size + index;
      if ((bits[from >> 3] >> (7 - (from & 7))) & 1) made[to >> 3] |= 1 << (7 - (to & 7));
    }
  });
  return { ...mask, bits: made, shape, origin: [first, mask.origin[1], mask.origin[2]] };
}

// A heat map with a layer for each of `depth` slices; those that the model was not given have none.
export function moveHeat(heat, moved, depth) {
  const [layers, rows, columns] = heat.shape, size = rows * columns, values = bytesOf(heat.values), made = new Uint8Array(depth * size);
  moved.forEach((to, z) => {
    const place = (z - heat.origin[0]) / heat.step[0], below = Math.floor(place), share = place - below;
    const read = (layer, index) => (layer < 0 || layer >= layers ? 0 : values[layer * size + index]);
    for (let index = 0; index < size; index++) {
      made[to * size + index] = Math.round((1 - share) * read(below, index) + (share > 0 ? share * read(below + 1, index) : 0));
    }
  });
  return { ...heat, values: made, shape: [depth, rows, columns], origin: [0, heat.origin[1], heat.origin[2]], step: [1, heat.step[1], heat.step[2]] };
}
