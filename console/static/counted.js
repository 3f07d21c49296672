// A count with its noun, as "1 file" and "3 files".
"use strict";
function counted(number, noun) {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}
