// Verdict panels: forms without leaving the page, one key each, and events for a viewer on the same page (docs/console.md).
"use strict";
const panelOf = (element) => element.closest("[data-verdicts]");
const dispatch = (name, detail) => document.dispatchEvent(new CustomEvent(name, { detail }));

const showMarkButtons = (root) => {
  if (document.querySelector("[data-viewer]")) for (const button of root.querySelectorAll("[data-mark]")) button.hidden = false;
};
showMarkButtons(document);

// Send a form, put the new panel in the place of the old one, and go to the next open finding.
document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (!form.matches("form[data-verdict]")) return;
  event.preventDefault();
  const panel = panelOf(form), place = [...panel.querySelectorAll("ol > li")].indexOf(form.closest("li"));
  if (panel.dataset.busy) return;
  panel.dataset.busy = "yes";
  let reply;
  try {
    const body = new URLSearchParams(new FormData(form, event.submitter));
    reply = await fetch(form.action, { method: "POST", body, headers: { "X-Fragment": "verdicts" } });
  } catch {
    delete panel.dataset.busy;
    panel.querySelector("header").insertAdjacentHTML("afterend", '<p class="error" role="alert">The node did not answer. Reload the page to see whether the verdict was recorded.</p>');
    return;
  }
  if (reply.redirected || !(reply.ok || reply.status === 409)) { location.reload(); return; }
  const id = panel.id;
  panel.outerHTML = await reply.text();
  const shown = document.getElementById(id), items = [...shown.querySelectorAll("ol > li")];
  showMarkButtons(shown);
  if (reply.ok) (items.slice(Math.max(place, 0)).find((item) => "open" in item.dataset) ?? items[Math.max(place, 0)])?.focus();
  dispatch("verdicts:changed", { job: Number(shown.dataset.verdicts) });
});

// The finding that keys act on: the one that a viewer on the page shows, else the focused one, else the first open one.
let chosen = null;
const active = () => (chosen === null ? null : document.querySelector(`[data-verdicts] ol > li[data-finding="${chosen}"]`)) ??
  document.activeElement.closest("[data-verdicts] ol > li") ?? document.querySelector("[data-verdicts] li[data-open]");
document.addEventListener("viewer:chosen", (event) => {
  chosen = event.detail.finding;
  for (const item of document.querySelectorAll("[data-verdicts] ol > li")) item.setAttribute("aria-current", String(item === active()));
});

const open = (details) => {
  details.open = true;
  (details.querySelector("[data-mark]:not([hidden]), select, button") ?? details).focus();
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName)) return;
  const item = active(), panel = item ? panelOf(item) : document.querySelector("[data-verdicts]");
  if (!panel) return;
  if (event.key === "j" || event.key === "k") {
    const items = [...document.querySelectorAll("[data-verdicts] ol > li")], here = items.indexOf(chosen === null ? document.activeElement.closest("li") : item);
    const next = here < 0 ? item ?? items[0] : items[here + (event.key === "j" ? 1 : -1)];
    if (next) { event.preventDefault(); next.focus(); }
  } else if (event.key === "m") {
    const missed = panel.querySelector("details.missed");
    if (missed) { event.preventDefault(); open(missed); }
  } else if (item && /^[acr1-6]$/.test(event.key)) {
    const target = item.querySelector(/[1-6]/.test(event.key) ? `details[open] [data-key="${event.key}"]` : `[data-key="${event.key}"]`);
    if (!target) return;
    event.preventDefault();
    if (target.tagName === "DETAILS") open(target); else target.click();
  }
});

// For a viewer: show a finding when it is focused; ask for a place; take the place that was marked.
document.addEventListener("focusin", (event) => {
  const item = event.target.closest?.("[data-verdicts] ol > li");
  if (item) chosen = null; // until a viewer shows it
  if (!item || !item.dataset.image) return;
  const { image, frame, column, row, finding } = item.dataset;
  dispatch("verdicts:show", { finding: Number(finding) || null, image, frame: Number(frame) || null, column: Number(column), row: Number(row) });
});
let waiting = null;
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-mark]");
  if (!button) return;
  waiting = button.form;
  dispatch("verdicts:mark", { job: Number(panelOf(button).dataset.verdicts) });
});
document.addEventListener("viewer:marked", (event) => {
  const form = waiting?.isConnected ? waiting : document.querySelector("[data-verdicts] details.missed form");
  if (!form) return;
  waiting = null;
  form.closest("details").open = true;
  const { image, frame, column, row, diameter_mm } = event.detail;
  form.elements.image.value = image;
  form.elements.frame.value = frame ?? "";
  form.elements.column.value = column.toFixed(1);
  form.elements.row.value = row.toFixed(1);
  if (diameter_mm) form.elements.diameter_mm.value = diameter_mm.toFixed(1);
  form.querySelector("button.primary").focus();
});
