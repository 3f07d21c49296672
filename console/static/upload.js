// Uploads files in pieces. The node says how much of each file it has; after a lost connection the next piece begins there.
"use strict";
const form = document.getElementById("upload");
const token = form.elements.form_token.value;
const SHOWN = 12;
const AT_ONCE = 2;
const LONGEST_PAUSE_S = 30;
let chosen = []; // {file, name, row, bar, note, sent, state}
let running = false;

const byId = (id) => document.getElementById(id);

function words(bytes) {
  const units = ["B", "KB", "MB", "GB"];
  let at = 0;
  for (; bytes >= 1024 && at < 3; at++) bytes /= 1024;
  return bytes.toFixed(at && bytes < 100 ? 1 : 0) + " " + units[at];
}

function say(message) {
  byId("message").textContent = message;
  byId("message").hidden = !message;
}

// Choosing

function add(files) {
  const known = [];
  for (const { file, name } of files) {
    if (/(^|\/)(\.|Thumbs\.db|desktop\.ini|DICOMDIR$)/i.test(name)) continue;
    const same = (item) => item.name === name && item.file.size === file.size && item.file.lastModified === file.lastModified;
    if (chosen.some(same)) known.push(name);
    else chosen.push({ file, name, sent: 0, state: "chosen" });
  }
  say(known.length ? `In the list already: ${known.slice(0, SHOWN).join(", ")}${known.length > SHOWN ? ` and ${known.length - SHOWN} more` : ""}.` : "");
  list();
}

function list() {
  const rows = byId("list");
  rows.replaceChildren();
  for (const item of chosen.slice(0, SHOWN)) {
    const row = document.createElement("li");
    const name = document.createElement("span");
    name.className = "name";
    name.textContent = item.name;
    const size = document.createElement("span");
    size.className = "size";
    size.textContent = words(item.file.size);
    item.note = document.createElement("span");
    item.note.className = "note";
    item.bar = document.createElement("progress");
    item.bar.max = item.file.size || 1;
    item.bar.value = 0;
    item.bar.setAttribute("aria-label", item.name);
    item.bar.hidden = true;
    row.append(name, size, item.note, item.bar);
    if (!running) {
      const remove = document.createElement("button");
      remove.type = "button";
      remove.className = "quiet";
      remove.textContent = "Remove";
      remove.setAttribute("aria-label", "Remove " + item.name);
      remove.addEventListener("click", () => { chosen = chosen.filter((other) => other !== item); list(); });
      row.append(remove);
    }
    item.row = row;
    rows.append(row);
  }
  const hidden = chosen.length - SHOWN;
  byId("more").hidden = hidden <= 0;
  byId("more").textContent = `and ${hidden} more, ${words(chosen.reduce((sum, item) => sum + item.file.size, 0))} in all`;
  byId("start").disabled = !chosen.length || running;
  byId("start").textContent = chosen.length > 1 ? `Upload ${counted(chosen.length, "file")}` : "Upload";
  byId("clear").hidden = !chosen.length || running;
}

async function walk(entry, found) {
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
    found.push({ file, name: entry.fullPath.replace(/^\//, "") });
  } else if (entry.isDirectory) {
    const reader = entry.createReader();
    for (;;) {
      const entries = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
      if (!entries.length) return;
      for (const inner of entries) await walk(inner, found);
    }
  }
}

function take(input) {
  if (input.files.length) add([...input.files].map((file) => ({ file, name: file.webkitRelativePath || file.name })));
  input.value = "";
}

for (const id of ["files", "folder"]) {
  byId(id).addEventListener("change", (event) => take(event.target));
  take(byId(id)); // files may be chosen before this script has come, and browsers keep them when the page is loaded again
}
const drop = byId("drop");
for (const kind of ["dragenter", "dragover"]) drop.addEventListener(kind, (event) => { event.preventDefault(); drop.classList.add("over"); });
for (const kind of ["dragleave", "drop"]) drop.addEventListener(kind, () => drop.classList.remove("over"));
drop.addEventListener("drop", async (event) => {
  event.preventDefault();
  const found = [];
  const failed = [];
  for (const entry of [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry()).filter(Boolean)) {
    await walk(entry, found).catch(() => failed.push(entry.name));
  }
  add(found);
  if (failed.length) say(`The browser could not read ${failed.join(", ")} completely. Choose the files with the buttons instead.`);
});
byId("clear").addEventListener("click", () => { chosen = []; say(""); list(); });

// Sending

function progress() {
  const total = chosen.reduce((sum, item) => sum + item.file.size, 0);
  const sent = chosen.reduce((sum, item) => sum + item.sent, 0);
  const done = chosen.filter((item) => item.state !== "receiving").length;
  byId("overall-bar").value = total ? sent / total : 1;
  byId("overall-text").textContent = `${done} of ${counted(chosen.length, "file")}`;
  byId("overall-rate").textContent = `${words(sent)} of ${words(total)}`;
  for (const item of chosen.slice(0, SHOWN)) {
    item.bar.hidden = item.state !== "receiving";
    item.bar.value = item.sent;
    item.note.textContent = item.message || { receiving: item.sent ? "" : "waiting", sent: "arrived", refused: "not taken" }[item.state] || "";
    item.row.className = item.state;
  }
}

async function announce() {
  const statement = {};
  for (const name of ["kind", "region", "patient_id", "family_name", "given_name", "birth_date", "sex", "accession_number", "taken_on", "description"]) {
    statement[name] = form.elements[name].value;
  }
  const files = chosen.map(({ file, name }) => ({ name, size: file.size, modified: file.lastModified }));
  const reply = await fetch("/upload", {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Form-Token": token },
    body: JSON.stringify({ files, statement }),
  });
  const answer = await reply.json().catch(() => ({}));
  if (!reply.ok) throw new Error(answer.message || "The upload was not accepted. Reload the page and try again.");
  return answer;
}

// Sends one piece; resolves with {status, answer}, or rejects when the connection is lost.
function sendPiece(item, path) {
  const from = item.sent;
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", path);
    request.setRequestHeader("Upload-Offset", String(from));
    request.setRequestHeader("X-Form-Token", token);
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.timeout = 120000;
    request.upload.onprogress = (event) => { item.sent = Math.min(item.file.size, from + event.loaded); progress(); };
    request.onload = () => {
      let answer = {};
      try { answer = JSON.parse(request.responseText); } catch (error) { /* an error page of a proxy */ }
      resolve({ status: request.status, answer });
    };
    request.onerror = request.ontimeout = request.onabort = () => { item.sent = from; reject(new Error("lost")); };
    request.send(item.file.slice(from, from + Number(form.dataset.pieceBytes)));
  });
}

const pause = (seconds) => new Promise((resolve) => {
  const timer = setTimeout(resolve, seconds * 1000);
  addEventListener("online", () => { clearTimeout(timer); resolve(); }, { once: true });
});

// Whether the browser can still read a file: it refuses one that was changed or deleted after it was chosen.
const readable = (file) => file.slice(0, 1).arrayBuffer().then(() => true, () => false);

async function resume(item, path, tries, reason) {
  const seconds = Math.min(LONGEST_PAUSE_S, 2 ** Math.min(tries, 5));
  byId("connection").textContent = reason || `The connection is lost. Trying again in ${seconds} s; nothing has to be sent twice.`;
  await pause(seconds);
  try {
    const reply = await fetch(path);
    if (!reply.ok) return;
    const answer = await reply.json();
    item.sent = answer.offset;
    if (answer.state !== "receiving") item.state = "sent";
    progress();
  } catch (error) { /* still lost */ }
}

async function send(item, path) {
  let tries = 0;
  while (item.state === "receiving") {
    let reply;
    try {
      reply = await sendPiece(item, path);
    } catch (error) {
      if (!(await readable(item.file))) {
        item.state = "refused";
        item.message = "The file was changed or deleted after it was chosen. Choose it again.";
        progress();
        continue;
      }
      await resume(item, path, tries++, "");
      continue;
    }
    const { status, answer } = reply;
    if (status === 200) {
      tries = 0;
      byId("connection").textContent = "";
      item.sent = answer.offset;
      if (answer.state !== "receiving" || item.sent >= item.file.size) item.state = "sent";
    } else if (status === 409 && answer.state === "receiving") {
      item.sent = answer.offset;
    } else if (status === 423 || status >= 500 || status === 400) {
      await resume(item, path, tries++, answer.message);
    } else {
      item.state = "refused";
      item.message = answer.message || "You were signed out, or the file was cancelled. Reload the page.";
    }
    progress();
  }
}

async function start() {
  let upload;
  running = true;
  say("");
  list();
  try {
    upload = await announce();
  } catch (error) {
    running = false;
    list();
    say(error instanceof TypeError ? "The node cannot be reached. Try again in a moment." : error.message);
    return;
  }
  for (const [at, state] of upload.files.entries()) {
    Object.assign(chosen[at], { id: state.id, sent: state.offset, message: state.message, state: state.state });
    if (!["receiving", "refused"].includes(state.state)) chosen[at].state = "sent";
  }
  byId("overall").hidden = false;
  byId("about").disabled = true;
  drop.hidden = true;
  progress();
  const queue = chosen.filter((item) => item.state === "receiving");
  const worker = async () => {
    for (let item = queue.shift(); item; item = queue.shift()) await send(item, `/uploads/${upload.id}/files/${item.id}`);
  };
  addEventListener("beforeunload", (event) => { if (running) event.preventDefault(); });
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  running = false;
  location.assign(`/uploads/${upload.id}#follow`);
}

form.addEventListener("submit", (event) => { event.preventDefault(); if (chosen.length && !running) start(); });
list();
