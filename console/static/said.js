// Tells a screen reader what has changed in lists that are replaced as a whole: the texts in `data-said`, by `data-key`. Live regions
// around these lists would be read from the first line to the last after each change.
"use strict";
(() => {
  const texts = () => new Map([...document.querySelectorAll("[data-said]")].map((element) => [element.dataset.key, element.dataset.said]));
  let before = texts();
  document.body.addEventListener("htmx:afterSettle", () => {
    const now = texts(), changed = [...now].filter(([key, text]) => text && before.get(key) !== text).map(([, text]) => text);
    before = now;
    if (changed.length > 0) document.getElementById("said").textContent = changed.join(" ");
  });
})();
