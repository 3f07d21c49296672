// A table that is wider than its place is scrolled with the arrow keys, for which it must be reached by Tab. One that fits needs no stop
// of the Tab key; without this script each has one.
"use strict";
(() => {
  const fit = (box) => { box.tabIndex = box.scrollWidth > box.clientWidth + 1 ? 0 : -1; };
  const sizes = new ResizeObserver((entries) => { for (const { target } of entries) fit(target.closest(".scroll")); });
  const watch = () => {
    for (const box of document.querySelectorAll(".scroll")) for (const part of [box, ...box.children]) sizes.observe(part);
  };
  watch();
  new MutationObserver(watch).observe(document.getElementById("main"), { childList: true, subtree: true });
})();
