// The verdict panel beside the images: it tells which finding is judged, and asks for places on the image (docs/console.md).

import { get, reason } from "./slices.js";

export async function connectVerdicts(viewer, job) {
  const box = document.getElementById("verdict-box");
  document.addEventListener("verdicts:show", ({ detail }) => {
    const finding = viewer.model.findings.find((one) => one.id === detail.finding);
    if (finding !== undefined) { viewer.goToFinding(finding.ordinal); return; }
    const voxel = Number.isFinite(detail.row) ? viewer.model.voxelAt(detail.image, detail.frame, [detail.column, detail.row]) : null;
    if (voxel !== null) viewer.goTo(voxel);
  });
  document.addEventListener("verdicts:mark", () => viewer.mark(true));
  const reply = await get(`/results/${job}/verdicts`);
  box.hidden = false;
  if (!reply.ok) {
    box.replaceChildren(Object.assign(document.createElement("p"), { className: "error", textContent: `The verdict panel is missing. ${await reason(reply)}` }));
    return;
  }
  box.innerHTML = await reply.text();
  for (const button of box.querySelectorAll("[data-mark]")) button.hidden = false;
  viewer.tellChosen();
}
