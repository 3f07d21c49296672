// Asks for the description or the first slice at once, while the other scripts and the style sheets still load.

window.viewerEarly = (() => {
  const page = JSON.parse(document.getElementById("viewer-data").textContent);
  const get = (path) => fetch(`${page.base}/${path}`, { cache: "no-store", redirect: "manual" }).catch(() => null);
  if (page.problem) return {};
  if (page.meta === null) return { meta: get("meta") };
  return page.first === null ? {} : { first: page.first, slice: get(`slices/${page.first}/1`) };
})();
