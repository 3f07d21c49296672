// "Show" of a result object opens it below its line; without scripts the link leads to a page of its own.
"use strict";
document.addEventListener("click", async (event) => {
  const link = event.target.closest("a[data-object]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  const line = link.closest("tr"), below = line.nextElementSibling;
  if (below?.classList.contains("shown")) {
    below.remove();
    link.setAttribute("aria-expanded", "false");
    return;
  }
  const row = document.createElement("tr"), cell = document.createElement("td"), panel = document.createElement("div");
  row.className = "shown";
  cell.colSpan = line.cells.length;
  panel.className = "panel";
  panel.tabIndex = 0;
  panel.setAttribute("role", "status");
  panel.innerHTML = '<p class="hint">Reading the object …</p>';
  cell.append(panel);
  row.append(cell);
  line.after(row);
  link.setAttribute("aria-expanded", "true");
  let reply = null;
  try {
    reply = await fetch(link.href, { headers: { "X-Fragment": "object" } });
  } catch (error) {
    panel.innerHTML = '<p class="error">The node does not answer. Close this and show the object again.</p>';
    return;
  }
  if (!reply.ok || reply.redirected) { location.href = link.href; return; }
  panel.removeAttribute("role");
  panel.innerHTML = await reply.text();
});
