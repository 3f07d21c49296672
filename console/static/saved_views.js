// The filters may have changed since the page was made: those of the form are saved.
"use strict";
document.getElementById("save-view").addEventListener("submit", (event) => {
  const filters = new FormData(document.getElementById("filters"));
  event.target.elements.query.value = new URLSearchParams([...filters].filter(([, value]) => value)).toString();
});
