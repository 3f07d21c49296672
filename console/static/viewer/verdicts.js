// The verdict panel beside the images: it tells which finding is judged, and asks for places on the image (docs/console.md).

export async function connectVerdicts(viewer, job) {
  const box = document.getElementById("verdict-box");
  document.addEventListener("verdicts:show", ({ detail }) => {
    const finding = viewer.model.findings.find((one) => one.id === detail.finding);
    if (finding !== undefined) { viewer.goToFinding(finding.ordinal); return; }
    const voxel = Number.isFinite(detail.row) ? viewer.model.voxelAt(detail.image, detail.frame, [detail.column, detail.row]) : null;
    if (voxel !== null) viewer.goTo(voxel);
  });
  document.addEventListener("verdicts:mark", () => viewer.mark(true));
  const reply = await fetch(`/results/${job}/verdicts`, { redirect: "manual" });
  if (!reply.ok) return;
  box.innerHTML = await reply.text();
  box.hidden = false;
  for (const button of box.querySelectorAll("[data-mark]")) button.hidden = false;
  viewer.tellChosen();
}
