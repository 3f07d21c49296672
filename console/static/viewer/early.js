// Asks for the description and the first slice at once, while the other scripts and the style sheets still load.

window.viewerEarly = (() => {
  const page = JSON.parse(document.getElementById("viewer-data").textContent);
  const get = (path) => fetch(`${page.base}/${path}`, { cache: "no-store", redirect: "manual" }).catch(() => null);
  if (page.problem) return {};
  if (page.meta !== null) return page.first === null ? {} : { slice: get(`slices/${page.first}/1`) };
  // Which slice it will be is known when the headers were read; its answer says it.
  return page.kind === "series" ? { meta: get("meta"), slice: get("first") } : { meta: get("meta") };
})();
