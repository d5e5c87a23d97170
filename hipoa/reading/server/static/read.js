// The reading page: one hip at a time, graded by keys. All text from the server is set as text, never as HTML.
import { Tools } from "/static/tools.js";
import { Viewer } from "/static/viewer.js";

const $ = (id) => document.getElementById(id);
const ROMAN = { 1: "I", 2: "II", 3: "III", 4: "IV" };
const WORDS = { L: "LEFT hip", R: "RIGHT hip" };
const viewers = { hip: new Viewer($("hip")), other: new Viewer($("other")), pelvis: new Viewer($("pelvis")) };
const fetched = new Map(); // address to pixels, of the hips to come
let state, hip, upcoming = [], reading, references = [], lastId = "", busy = false;

// ---- requests to the server

class Refused extends Error {}

async function ask(path, body) {
  const options = body === undefined ? {} : {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-CSRF-Token": state.csrf },
    body: JSON.stringify(body),
  };
  const answer = await fetch(path, options);
  const content = await answer.json();
  if (!answer.ok) throw new Refused(content.error);
  return content;
}

async function fetchPixels(address) {
  if (!fetched.has(address)) {
    const waiting = fetch(address).then(async (answer) => {
      if (!answer.ok) throw new Refused((await answer.json()).error);
      return new Uint16Array(await answer.arrayBuffer());
    });
    waiting.catch(() => fetched.delete(address));
    fetched.set(address, waiting);
  }
  return fetched.get(address);
}

const tools = new Tools({
  viewer: viewers.hip, fetchPixels, onError: showError,
  describe: (shown, name) => ask(`/api/images/${encodeURIComponent(shown.hip_id)}/${name}`),
});

const addressOf = (shown, kind) => `/api/images/${encodeURIComponent(shown.hip_id)}/${kind}/${shown.images[kind].sha256}`;

async function fetchImages(shown) {
  const kinds = Object.keys(shown.images);
  const pixels = await Promise.all(kinds.map((kind) => fetchPixels(addressOf(shown, kind))));
  return Object.fromEntries(kinds.map((kind, i) => [kind, { ...shown.images[kind], pixels: pixels[i] }]));
}

// ---- what is shown

function open(view) {
  for (const name of ["workspace", "sign-in", "pause", "done", "mine", "disagreements", "fatal"]) $(name).hidden = name !== view;
  clock.run(view === "workspace");
  if (view === "workspace") $("hip").focus({ preventScroll: true });
}

const current = () => ["sign-in", "pause", "done", "mine", "disagreements", "fatal", "workspace"].find((name) => !$(name).hidden);
const back = () => open(hip ? "workspace" : "done");

// Seconds that a hip was looked at: not while paused, elsewhere on the page or in another window.
const clock = {
  seconds: 0, since: null,
  run(on) {
    if (this.since !== null) this.seconds += (performance.now() - this.since) / 1000;
    this.since = on && !document.hidden ? performance.now() : null;
  },
  restart() { this.seconds = 0; this.since = null; this.run(current() === "workspace"); },
  read() { this.run(current() === "workspace"); return Math.round(this.seconds * 10) / 10; },
};
document.addEventListener("visibilitychange", () => clock.run(current() === "workspace"));

function showError(error) {
  $("fault").textContent = error instanceof Refused ? error.message : "Not saved: the server does not answer. Press Enter to try again.";
  $("fault").hidden = false;
}

function press(group, value) {
  for (const button of $(group).querySelectorAll("button")) button.setAttribute("aria-pressed", String(button.value === String(value)));
}

function showReading() {
  press("crowe", reading.crowe);
  press("kl", reading.kl);
  press("reasons", reading.reason);
  const refused = reading.reason !== null;
  $("reasons").hidden = !refused;
  $("crowe").hidden = $("kl").hidden = refused;
  $("crowe").classList.toggle("next", reading.crowe === null);
  $("kl").classList.toggle("next", reading.crowe !== null && reading.kl === null);
  $("save").disabled = !(reading.reason || (!refused && reading.crowe !== null && reading.kl !== null));
}

function describe(record) {
  const grade = record.reason ? state.reasons[record.reason] : `Crowe ${ROMAN[record.crowe]}, KL ${record.kl}`;
  return record.comment ? `${grade} (${record.comment})` : grade;
}

async function showHip(next, words = "") {
  hip = next.hips[0];
  if (next.read !== undefined) {
    $("place").textContent = `${next.read} read · ${next.left} to go`;
    $("progress").max = Math.max(1, next.read + next.left);
    $("progress").value = next.read;
  }
  $("last").textContent = words;
  if (!hip) {
    $("case").textContent = "";
    $("synthetic").hidden = true;
    $("done-words").textContent = `${next.read} hips read. ${words} ${next.skipped?.[0] ?? ""}`;
    open("done");
    return;
  }
  reading = { crowe: null, kl: null, reason: null };
  const images = await fetchImages(hip);
  draw(images);
  if (next.skipped?.length) showError(new Refused(next.skipped[0]));
  open("workspace");
  clock.restart();
  document.body.dataset.shown = hip.hip_id;
  // Once the hip is on the screen, the next one is loaded.
  setTimeout(fetchAhead, 50);
}

async function fetchAhead() {
  try {
    const shown = hip;
    const { hips } = await ask("/api/next");
    if (hip !== shown) return;
    upcoming = hips.filter((one) => one.hip_id !== shown.hip_id);
    dropPixels();
    await Promise.all(upcoming.map(fetchImages));
  } catch { /* it is loaded when it is shown */ }
}

// Pixels of earlier hips.
function dropPixels() {
  const wanted = new Set([hip, ...upcoming].flatMap((one) => Object.keys(one.images).map((kind) => addressOf(one, kind))));
  for (const address of fetched.keys()) if (!wanted.has(address) && !address.startsWith("/api/references/")) fetched.delete(address);
}

const sideClass = (side) => (side === "R" ? "right-side" : "left-side");

function draw(images) {
  viewers.hip.show(images.hip);
  for (const kind of ["other", "pelvis"]) {
    if (images[kind]) viewers[kind].show(images[kind], kind === "pelvis" ? images.pelvis.head : null);
    else viewers[kind].clear();
  }
  const other = hip.side === "R" ? "L" : "R";
  $("case").textContent = `case ${hip.case_id}`;
  $("synthetic").hidden = !hip.synthetic;
  $("side-words").textContent = WORDS[hip.side] + (hip.kind === "consensus" ? ", consensus" : "");
  $("marker").textContent = hip.side;
  $("marker").className = `marker ${sideClass(hip.side)}`;
  $("other-marker").textContent = images.other ? other : "";
  $("other-marker").className = `marker small ${sideClass(other)}`;
  $("other-caption").textContent = images.other ? "other side" : "no image of the other side";
  $("pelvis-caption").textContent = images.pelvis ? "pelvis AP" : "no pelvis view: set reading: true";
  for (const marker of document.querySelectorAll("#beside figure:first-child .marker")) marker.hidden = !images.pelvis;
  $("film-note").textContent = images.hip.source === "view" ? "" : "Radiograph of 150 x 150 pixels: there is no fine view (set reading: true and run snakemake)";
  $("comment").value = "";
  $("fault").hidden = true;
  $("others").hidden = true;
  if (hip.prediction) $("last").textContent = `The model: class ${hip.prediction.grade} (Crowe ${ROMAN[hip.prediction.crowe]}, KL ${hip.prediction.kl})`;
  tools.show(hip, images);
  showReading();
  showReferences();
}

// ---- reference images

async function loadReferences() {
  references = (await ask("/api/references")).references;
  for (const reference of references) {
    reference.image.pixels = await fetchPixels(`/api/references/${reference.number}`);
  }
  if (hip) showReferences();
}

function showReferences() {
  const box = $("references");
  const fitting = references.filter((r) => r.side === hip.side && r.image.pixels && !hip.hidden_references.includes(r.number));
  const names = fitting.map((r) => r.number).join(" ");
  if (box.dataset.names === names && box.childElementCount) return;
  box.dataset.names = names;
  box.replaceChildren();
  if (!fitting.length) {
    const none = document.createElement("p");
    none.textContent = references.length ? "No graded hip of this side to compare with." : "";
    box.append(none);
  }
  for (const reference of fitting) box.append(makeReference(reference));
}

function makeReference(reference) {
  const button = document.createElement("button");
  const canvas = document.createElement("canvas");
  const words = document.createElement("span");
  const [name, who, made] = ["b", "span", "em"].map((tag) => document.createElement(tag));
  name.textContent = `Crowe ${ROMAN[reference.crowe]}, KL ${reference.kl}`;
  who.textContent = reference.readers > 1 ? `${reference.readers} readers agree` : "one reading";
  made.textContent = reference.synthetic ? "synthetic" : "";
  words.append(name, who, made);
  button.append(canvas, words);
  button.title = "show beside the hip";
  button.setAttribute("aria-pressed", "false");
  button.addEventListener("click", () => showBeside(button, reference));
  new Viewer(canvas, { still: true }).show(reference.image);
  return button;
}

async function showBeside(button, reference) {
  const on = button.getAttribute("aria-pressed") !== "true";
  for (const each of $("references").querySelectorAll("button")) each.setAttribute("aria-pressed", "false");
  button.setAttribute("aria-pressed", String(on));
  const images = await fetchImages(hip);
  const shown = on ? reference.image : images.other;
  if (shown) viewers.other.show(shown); else viewers.other.clear();
  $("other-marker").textContent = on ? reference.side : images.other ? (hip.side === "R" ? "L" : "R") : "";
  $("other-marker").className = `marker small ${sideClass(on ? reference.side : hip.side === "R" ? "L" : "R")}`;
  $("other-caption").textContent = on ? `reference: Crowe ${ROMAN[reference.crowe]}, KL ${reference.kl}` : "other side";
}

// ---- grading

function grade(digit) {
  if (reading.reason !== null) {
    const reason = Object.keys(state.reasons)[digit - 1];
    if (reason) reading.reason = reason;
  } else if (reading.crowe === null) {
    if (digit >= 1 && digit <= 4) reading.crowe = digit;
  } else if (reading.kl === null && digit <= 4) {
    reading.kl = digit;
  }
  showReading();
}

function clearLast() {
  if (reading.reason !== null) reading.reason = null;
  else if (reading.kl !== null) reading.kl = null;
  else reading.crowe = null;
  showReading();
}

function toggleUngradable() {
  reading = { crowe: null, kl: null, reason: reading.reason === null ? "" : null };
  showReading();
}

function once(action) {
  return async () => {
    if (busy) return;
    busy = true;
    try { await action(); } catch (error) { showError(error); } finally { busy = false; }
  };
}

const save = once(async () => {
  if ($("save").disabled || current() !== "workspace") return;
  const started = performance.now();
  const given = { form_token: hip.form_token, crowe: reading.crowe, kl: reading.kl, reason: reading.reason ?? "" };
  const answer = await ask("/api/readings", { ...given, comment: $("comment").value, seconds: clock.read(), ...tools.collect() });
  lastId = answer.recorded.id;
  const prediction = answer.prediction ? ` The model: class ${answer.prediction.grade} (Crowe ${ROMAN[answer.prediction.crowe]}, KL ${answer.prediction.kl}).` : "";
  const side = answer.recorded.side === "R" ? "right" : "left";
  await showHip(answer, `Saved: ${answer.recorded.case_id} ${side}, ${describe(answer.recorded)}.${prediction}`);
  document.body.dataset.milliseconds = String(performance.now() - started);
});

async function undoReading(id) {
  const answer = await ask("/api/undo", { id });
  lastId = "";
  await showHip(answer, `Undone: ${describe(answer.undone)}. Read it again.`);
}

const undo = once(async () => {
  const id = lastId || (await ask("/api/mine")).readings[0]?.id;
  if (id) await undoReading(id);
});

// ---- lists

const cells = (row, ...texts) => { for (const text of texts) row.insertCell().textContent = text; };

const openMine = once(async () => {
  const { readings } = await ask("/api/mine");
  const body = $("mine").querySelector("tbody");
  body.replaceChildren();
  for (const r of readings) {
    const row = body.insertRow();
    const note = r.reason ? `${state.reasons[r.reason]} ${r.comment}` : r.comment;
    cells(row, r.time.slice(0, 16).replace("T", " "), r.case_id, r.side, ROMAN[r.crowe] ?? "", r.kl ?? "", note, r.seconds);
    addButton(row, "Undo and read again", () => undoReading(r.id));
  }
  open("mine");
});

const openDisagreements = once(async () => {
  const found = await ask("/api/disagreements");
  const body = $("open-cases").tBodies[0];
  body.replaceChildren();
  for (const one of found.open) {
    const row = body.insertRow();
    cells(row, `${one.readings[0].case_id} ${one.readings[0].side}`, one.readings.map((r) => `${r.reader}: ${describe(r)}`).join(" · "));
    addButton(row, "Record consensus", () => settle(one.hip_id));
  }
  if (!found.open.length) cells(body.insertRow(), "none", "", "");
  const kappas = $("kappas").tBodies[0];
  kappas.replaceChildren();
  for (const k of found.agreement) {
    const who = k.question === "intra-reader" ? `${k.a}, repeated` : `${k.a} and ${k.b}`;
    const digits = (cell) => Number(cell).toFixed(2);
    const span = k.low === "" ? "" : ` (${digits(k.low)} to ${digits(k.high)})`;
    const metric = { ECA: "exact agreement", ONCA: "at most one apart" }[k.metric] ?? k.metric;
    cells(kappas.insertRow(), who, k.index, metric, k.value === "" ? "not defined" : digits(k.value) + span, k.n_hips);
  }
  if (!found.agreement.length) cells(kappas.insertRow(), "no other reader has read two of your hips", "", "", "", "");
  open("disagreements");
});

function addButton(row, text, action) {
  const button = document.createElement("button");
  button.textContent = text;
  button.addEventListener("click", once(action));
  row.insertCell().append(button);
}

async function settle(hipId) {
  const found = await ask(`/api/consensus/${encodeURIComponent(hipId)}`);
  await showHip(found);
  $("others").textContent = found.readings.map((r) => `${r.reader}: ${describe(r)}`).join("\n");
  $("others").hidden = false;
}

// ---- keys and buttons

function makeButtons(group, values) {
  for (const [value, key, text] of values) {
    const button = document.createElement("button");
    const cap = document.createElement("kbd");
    cap.textContent = key;
    button.value = value;
    button.append(cap, document.createTextNode(text));
    button.addEventListener("click", () => {
      reading[group === "reasons" ? "reason" : group] = group === "reasons" ? value : Number(value);
      showReading();
    });
    $(group).append(button);
  }
}

const KEYS = {
  Enter: save, x: toggleUngradable, z: undo, Backspace: clearLast,
  c: () => $("comment").focus(), p: () => open("pause"),
  f: () => viewers.hip.fit(), w: () => viewers.hip.resetWindow(),
  i: () => { for (const viewer of Object.values(viewers)) { viewer.invert = !viewer.invert; if (viewer.image) viewer.render(); } },
  "+": () => viewers.hip.zoomAt(1.25, $("hip").width / 2, $("hip").height / 2),
  "-": () => viewers.hip.zoomAt(0.8, $("hip").width / 2, $("hip").height / 2),
  ArrowUp: () => viewers.hip.changeWindow(-6, 0), ArrowDown: () => viewers.hip.changeWindow(6, 0),
  ArrowLeft: () => viewers.hip.changeWindow(0, -12), ArrowRight: () => viewers.hip.changeWindow(0, 12),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const view = current(), key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (view === "pause" && key === "p") { event.preventDefault(); open("workspace"); return; }
  if ((view === "mine" || view === "disagreements") && key === "Escape") { event.preventDefault(); back(); return; }
  if (view === "done" && key === "z") { event.preventDefault(); undo(); return; }
  if (view !== "workspace" || event.repeat && !key.startsWith("Arrow")) return;
  if (event.target === $("comment")) {
    if (key === "Enter" || key === "Escape") { event.preventDefault(); $("hip").focus(); }
    return;
  }
  if (tools.key(event, key)) { event.preventDefault(); return; }
  // Enter and space on a button press that button.
  if (key === "Enter" && event.target.tagName === "BUTTON" && event.target.id !== "save") $("hip").focus();
  const action = /^[0-9]$/.test(key) ? () => grade(Number(key)) : KEYS[key];
  if (action) { event.preventDefault(); action(); }
});

$("save").addEventListener("click", save);
$("ungradable").addEventListener("click", toggleUngradable);
$("undo").addEventListener("click", undo);
$("done-undo").addEventListener("click", undo);
$("pause-open").addEventListener("click", () => { if (current() === "workspace") open("pause"); });
$("resume").addEventListener("click", () => open("workspace"));
$("mine-open").addEventListener("click", openMine);
$("disagreements-open").addEventListener("click", openDisagreements);
for (const button of document.querySelectorAll(".close")) button.addEventListener("click", back);
$("leave").addEventListener("click", once(async () => { await ask("/api/leave", {}); location.reload(); }));
viewers.hip.onDraw = (pxPerMm) => {
  $("film-scale").textContent = "50 mm";
  $("film-scale").style.width = `${Math.round(50 * pxPerMm)}px`;
};

// ---- start

async function signIn(name) {
  if (name !== undefined) await ask("/api/reader", { name });
  state = await ask("/api/state");
  $("reader").textContent = state.reader;
  await showHip(await ask("/api/next"));
  loadReferences().catch(showError);
}

$("sign-in-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  try { await signIn($("name").value); } catch (error) { $("sign-in-fault").textContent = error.message; }
});

async function start() {
  state = await ask("/api/state");
  makeButtons("crowe", [1, 2, 3, 4].map((value) => [String(value), String(value), ROMAN[value]]));
  makeButtons("kl", [0, 1, 2, 3, 4].map((value) => [String(value), String(value), String(value)]));
  makeButtons("reasons", Object.entries(state.reasons).map(([name, text], i) => [name, String(i + 1), text]));
  if (state.reader) return signIn();
  $("sign-in-study").textContent = `Study ${state.study}`;
  $("known").replaceChildren(...state.readers.map((name) => { const option = document.createElement("option"); option.value = name; return option; }));
  const notes = [];
  if (state.prediction === "after") notes.push("The model's class is shown after you have read a hip.");
  if (state.prediction === "before") notes.push("The model's class is shown beside each hip: these readings are not blind.");
  if (state.again_every) notes.push(`About one hip in ${state.again_every} is shown a second time, unmarked, to measure your intra-reader agreement.`);
  $("sign-in-notes").textContent = notes.join(" ");
  open("sign-in");
  $("name").focus();
  return undefined;
}

start().catch((error) => { $("fatal-words").textContent = error.message; open("fatal"); });
