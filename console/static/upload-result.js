// The page of an upload: read again when the node says that something has changed. One complete study opens by itself after an upload.
"use strict";
const result = document.getElementById("result");
const following = location.hash === "#follow";
let waiting = false;

function follow() {
  const study = document.getElementById("facts").dataset.study;
  if (following && study) location.replace("/studies/" + study);
}

function read() {
  if (waiting) return;
  waiting = true;
  setTimeout(() => {
    waiting = false;
    htmx.ajax("GET", result.dataset.path, "#result").then(follow);
  }, 400);
}

followChanges(read);
follow();
