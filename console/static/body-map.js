// The body map: a group of radio buttons drawn as shapes; it follows the select field, and the select field follows it.
"use strict";
const field = document.getElementById("region");
const regions = [...document.querySelectorAll(".body-map .region")];
const regionName = document.getElementById("region-name");
const explanation = regionName.textContent;

function show() {
  const chosen = regions.find((shape) => shape.dataset.region === field.value);
  for (const shape of regions) {
    shape.setAttribute("aria-checked", String(shape === chosen));
    shape.setAttribute("tabindex", shape === (chosen || regions[0]) ? "0" : "-1");
  }
  regionName.textContent = chosen ? chosen.getAttribute("aria-label") : explanation;
}

function choose(shape, again) {
  field.value = again && field.value === shape.dataset.region ? "" : shape.dataset.region;
  show();
}

for (const [at, shape] of regions.entries()) {
  shape.addEventListener("click", () => choose(shape, true));
  shape.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (event.key === " " || event.key === "Enter") choose(shape, true);
    else if (step) {
      const next = regions[(at + step + regions.length) % regions.length];
      choose(next, false);
      next.focus();
    } else return;
    event.preventDefault();
  });
}
field.addEventListener("change", show);
show();
