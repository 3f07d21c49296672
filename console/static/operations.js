// Files that are dropped on the form of the route test are tested at once.
"use strict";
for (const name of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(name, (event) => {
    const form = event.target.closest?.("#route-test");
    if (!form) return;
    event.preventDefault();
    form.classList.toggle("over", name === "dragover");
    if (name !== "drop" || !event.dataTransfer.files.length) return;
    form.querySelector("#route-file").files = event.dataTransfer.files;
    form.requestSubmit();
  });
}
