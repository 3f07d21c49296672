// The verdict panel beside the images: it tells which finding is judged, and asks for places on the image (docs/console.md).

export async function connectVerdicts(viewer, job) {
  const box = document.getElementById("verdict-box");
  document.addEventListener("verdicts:show", ({ detail }) => {
    const finding = viewer.model.findings.find((one) => one.id === detail.finding);
    if (finding !== undefined) { viewer.goToFinding(finding.ordinal); return; }
    const z = viewer.model.sliceOf.get(`${detail.image} ${detail.frame ?? 1}`);
    if (z !== undefined && Number.isFinite(detail.row)) viewer.goTo([z, detail.row - 0.5, detail.column - 0.5]);
  });
  document.addEventListener("verdicts:mark", () => viewer.mark(true));
  const reply = await fetch(`/results/${job}/verdicts`, { redirect: "manual" });
  if (!reply.ok) return;
  box.innerHTML = await reply.text();
  box.hidden = false;
  for (const button of box.querySelectorAll("[data-mark]")) button.hidden = false;
}
