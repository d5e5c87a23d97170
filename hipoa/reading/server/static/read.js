// The reading page: one hip at a time, graded by keys.
import { fillHelp } from "/static/help.js";
import { fillDisagreements, fillMine } from "/static/lists.js";
import { closeComparison, loadReferences, showReferences, stepReference, toggleComparison } from "/static/references.js";
import { ask, fetchImages, keepPixels, loadState, Refused, state } from "/static/server.js";
import { Tools } from "/static/tools.js";
import { changeWindow, invert, resetWindow, Viewer } from "/static/viewer.js";
import { $, describe, make, ROMAN, sayGrade, SIDES, sideClass } from "/static/words.js";

const VIEWS = ["workspace", "sign-in", "pause", "done", "mine", "disagreements", "help", "fatal"];
const viewers = { hip: new Viewer($("hip")), other: new Viewer($("other")), pelvis: new Viewer($("pelvis")) };
const tools = new Tools(viewers.hip, showError);
let hip, reading, lastId = "", busy = false;

// ---- views

const current = () => VIEWS.find((name) => !$(name).hidden);
let left = null; // what had the focus in the workspace

function open(view) {
  if (current() === "workspace" && view !== "workspace") left = document.activeElement;
  for (const name of VIEWS) $(name).hidden = name !== view;
  clock.run(view === "workspace");
  if (view === "workspace") {
    const there = left?.isConnected && $("workspace").contains(left) && left.getClientRects().length;
    (there ? left : $("hip")).focus({ preventScroll: true });
  } else {
    $(view).querySelector("[data-focus]")?.focus();
  }
}

const back = () => open(!state.reader ? "sign-in" : hip ? "workspace" : "done");

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

const say = (words) => { $("status").textContent = words; };

function showError(error) {
  const words = error instanceof Refused ? error.message : "Not saved: the server does not answer. Press Enter to try again.";
  $("fault").textContent = words;
  $("fault").hidden = false;
}

// ---- the hip

async function showHip(next, words = "", notes = []) {
  const shown = next.hips[0];
  // The former hip stays until the next one can be drawn: a grade belongs to what is on the screen.
  const images = shown && await fetchImages(shown);
  hip = shown;
  if (next.read !== undefined) {
    $("place").textContent = `${next.read} read · ${next.left} to go`;
    $("progress").hidden = false;
    $("progress").max = Math.max(1, next.read + next.left);
    $("progress").value = next.read;
  }
  $("last").textContent = words;
  $("notes").textContent = notes.join("\n");
  say("");
  $("fault").hidden = true;
  left = null;
  if (!hip) {
    $("case").textContent = "";
    $("synthetic").hidden = true;
    $("done-words").textContent = `${next.read} hips read. ${words} ${next.skipped?.[0] ?? ""}`;
    $("done-notes").textContent = notes.join("\n");
    open("done");
    return;
  }
  reading = { crowe: null, kl: null, reason: null };
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
    const upcoming = hips.filter((one) => one.hip_id !== shown.hip_id);
    keepPixels([hip, ...upcoming]);
    await Promise.all(upcoming.map(fetchImages));
  } catch { /* it is loaded when it is shown */ }
}

function draw(images) {
  resetWindow();
  for (const [kind, viewer] of Object.entries(viewers)) {
    if (images[kind]) viewer.show(images[kind], kind === "pelvis" ? images.pelvis.head : null);
    else viewer.clear();
  }
  const consensus = hip.kind === "consensus";
  const other = hip.side === "R" ? "L" : "R";
  $("case").textContent = `case ${hip.case_id}`;
  $("synthetic").hidden = !hip.synthetic;
  $("side-words").textContent = `${SIDES[hip.side].toUpperCase()} hip${consensus ? ", consensus" : ""}`;
  $("marker").textContent = hip.side;
  $("marker").className = `marker ${sideClass(hip.side)}`;
  $("other-marker").textContent = images.other ? other : "";
  $("other-marker").className = `marker small ${sideClass(other)}`;
  $("other-caption").textContent = images.other ? "other side" : "no image of the other side";
  $("pelvis-caption").textContent = images.pelvis ? "pelvis AP" : "no pelvis view: set reading: true";
  for (const marker of document.querySelectorAll("#beside figure:first-child .marker")) marker.hidden = !images.pelvis;
  $("film-note").textContent = images.hip.source === "view" ? "" : "Radiograph of 150 x 150 pixels: there is no fine view (set reading: true and run snakemake)";
  $("comment").value = "";
  $("others").hidden = true;
  $("later").hidden = consensus;
  $("unsettled").hidden = !consensus;
  if ("prediction" in hip) $("last").textContent = hip.prediction ? `The model: class ${hip.prediction.grade} (${sayGrade(hip.prediction)})` : "The model gives no class.";
  closeComparison();
  tools.show(hip, images);
  showReading();
  showReferences(hip);
}

// ---- grading

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
  $("save").classList.toggle("ready", !missing());
}

// What a reading lacks, in words.
function missing() {
  if (reading.reason === "") return `the reason is missing: press 1 to ${Object.keys(state.reasons).length}.`;
  if (reading.reason === "other" && !$("comment").value.trim()) return "another reason needs a comment: press C and say what it is.";
  if (reading.reason !== null) return "";
  if (reading.crowe === null) return "Crowe is missing: press 1 to 4.";
  return reading.kl === null ? "KL is missing: press 0 to 4." : "";
}

function choose(group, value) {
  reading[group] = value;
  say("");
  showReading();
}

function grade(digit) {
  const reasons = Object.keys(state.reasons);
  if (reading.reason !== null) {
    if (digit < 1 || digit > reasons.length) return say(`There is no reason ${digit}: press 1 to ${reasons.length}.`);
    return choose("reason", reasons[digit - 1]);
  }
  if (reading.crowe === null) return digit >= 1 && digit <= 4 ? choose("crowe", digit) : say(`There is no Crowe ${digit}: press 1 to 4.`);
  if (reading.kl === null) return digit <= 4 ? choose("kl", digit) : say(`There is no KL ${digit}: press 0 to 4.`);
  return say(`${sayGrade(reading)} is complete: ${digit} was not taken. Enter saves, Backspace deletes the last digit.`);
}

function clearLast() {
  const last = ["reason", "kl", "crowe"].find((name) => reading[name] !== null);
  if (last) choose(last, null); else say("There is no digit to delete. Z takes back the last reading.");
}

function toggleUngradable() {
  reading = { crowe: null, kl: null, reason: reading.reason === null ? "" : null };
  say("");
  showReading();
}

// ---- what the server is told

function once(action) {
  return async (...given) => {
    if (busy) return;
    busy = true;
    try { await action(...given); } catch (error) { showError(error); } finally { busy = false; }
  };
}

// What was pressed since the last hip was sent off; it is for the next one. Null while no hip is on its way.
let early = null;

function perform(action) {
  if (early) early.push(action); else action();
}

function advance(action) {
  return async (...given) => {
    if (busy) return;
    early = [];
    let arrived = false;
    await once(async () => { await action(...given); arrived = true; })();
    const kept = early;
    early = null;
    if (arrived) for (const pressed of kept) perform(pressed);
    else if (kept.length) say("What you pressed meanwhile was for the next hip and was dropped.");
  };
}

const send = advance(async () => {
  const started = performance.now();
  const given = { form_token: hip.form_token, crowe: reading.crowe, kl: reading.kl, reason: reading.reason ?? "" };
  const answer = await ask("/api/readings", { ...given, comment: $("comment").value, seconds: clock.read(), ...tools.collect() });
  lastId = answer.recorded.id;
  await showHip(answer, `Saved: ${name(answer.recorded)}, ${describe(answer.recorded)}.`, answer.notes);
  document.body.dataset.milliseconds = String(performance.now() - started);
});

const name = (record) => `${record.case_id} ${SIDES[record.side]}`;

function save() {
  if (missing()) say(`Not saved: ${missing()}`); else send();
}

const decideLater = advance(async () => {
  if (hip.kind === "consensus") return leaveConsensus();
  const answer = await ask("/api/later", { form_token: hip.form_token, seconds: clock.read(), ...tools.collect() });
  lastId = answer.recorded.id;
  return showHip(answer, `Put off: ${name(answer.recorded)}. It comes back at the end of the list.`);
});

const undoReading = advance(async (id) => {
  const undone = id ?? (lastId || (await ask("/api/mine")).readings[0]?.id);
  if (!undone) { say("There is nothing to undo."); return; }
  const answer = await ask("/api/undo", { id: undone });
  lastId = "";
  await showHip(answer, `Undone: ${name(answer.undone)}, ${describe(answer.undone)}. Read it again.`);
});

async function settle(hipId) {
  const found = await ask(`/api/consensus/${encodeURIComponent(hipId)}`);
  await showHip(found);
  const lines = [...found.readings.map((r) => `${r.reader}: ${describe(r)}`), ...found.proposals.map((r) => `${r.reader} proposed: ${describe(r)}`)];
  $("others").textContent = lines.join("\n");
  $("others").hidden = false;
}

async function leaveConsensus() {
  await showHip(await ask("/api/next"), "No consensus was recorded; the hip stays under Disagreements.");
}

const openMine = once(async () => { fillMine(await ask("/api/mine"), undoReading); open("mine"); });
const showModel = once(async () => fillMine(await ask("/api/model", {}), undoReading));
const openDisagreements = once(async () => { fillDisagreements(await ask("/api/disagreements"), once(settle)); open("disagreements"); });

// ---- keys and buttons

const zoom = (factor) => viewers.hip.zoomAt(factor, $("hip").width / 2, $("hip").height / 2);
const KEYS = {
  ...tools.keys,
  Enter: save, x: toggleUngradable, z: () => undoReading(), d: decideLater, Backspace: clearLast,
  c: () => $("comment").focus(), p: () => open("pause"), "?": () => open("help"),
  v: () => say(toggleComparison(reading)), PageUp: () => say(stepReference(-1)), PageDown: () => say(stepReference(1)),
  Escape: () => closeComparison() || (hip.kind === "consensus" && advance(leaveConsensus)()),
  f: () => viewers.hip.fit(), w: resetWindow, i: invert, "+": () => zoom(1.25), "-": () => zoom(0.8),
  ArrowUp: () => changeWindow(-6, 0), ArrowDown: () => changeWindow(6, 0),
  ArrowLeft: () => changeWindow(0, -12), ArrowRight: () => changeWindow(0, 12),
};
const CLOSED_BY = { pause: ["p", "Enter", "Escape"], mine: ["Escape"], disagreements: ["Escape"], help: ["Escape", "?"] };

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const view = current(), key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (CLOSED_BY[view]?.includes(key)) { event.preventDefault(); back(); return; }
  if (view === "done" && key === "z") { event.preventDefault(); undoReading(); return; }
  if (view !== "workspace" || (event.repeat && !key.startsWith("Arrow"))) return;
  if (event.target === $("comment")) {
    if (key === "Enter" || key === "Escape") { event.preventDefault(); $("hip").focus(); showReading(); }
    return;
  }
  // What is pressed while the next hip is on its way is no point on the former one.
  if (!early && tools.key(event, key)) { event.preventDefault(); return; }
  // On a button that was reached by Tab, Enter and space press that button.
  if ((key === "Enter" || key === " ") && event.target.tagName === "BUTTON") return;
  pressKey(event, key);
});

function pressKey(event, key) {
  const action = /^[0-9]$/.test(key) ? () => grade(Number(key)) : KEYS[key];
  if (action) event.preventDefault();
  // A hip is never saved before it was on the screen.
  if (early && key === "Enter") perform(() => say("Enter came before this hip was shown: press it again."));
  else if (action) perform(action);
  else if (key.length === 1 && key !== " ") perform(() => say(`The key ${key} does nothing: ? shows the keys.`));
}

// values: of each button its value, its key, its text and its meaning.
function makeButtons(group, field, values) {
  for (const [value, key, text, meaning] of values) {
    const button = make("button", { value, title: meaning }, make("kbd", {}, key), text);
    button.addEventListener("click", () => perform(() => choose(field, field === "reason" ? value : Number(value))));
    $(group).append(button);
  }
}

// Buttons of the header are there before anyone has signed in.
function whenSignedIn(action) {
  return () => {
    if (state.reader) { perform(action); return; }
    open("sign-in");
    $("sign-in-fault").textContent = "Sign in with your name first.";
    $("name").focus();
  };
}

for (const [id, action] of Object.entries({
  save: () => perform(save), ungradable: () => perform(toggleUngradable), later: () => perform(decideLater), undo: () => perform(() => undoReading()),
  unsettled: () => perform(decideLater), "done-undo": () => undoReading(), "close-comparison": closeComparison,
  "mine-open": whenSignedIn(openMine), "disagreements-open": whenSignedIn(openDisagreements), "show-model": showModel,
  "pause-open": whenSignedIn(() => { if (current() === "workspace") open("pause"); else say("Nothing is being read."); }),
  "help-open": () => (current() === "help" ? back() : open("help")), resume: back,
  leave: whenSignedIn(once(async () => { await ask("/api/leave", {}); location.reload(); })),
})) $(id).addEventListener("click", action);
// After a click the keys go to the hip again, or Enter would press the button that was clicked.
$("workspace").addEventListener("click", (event) => { if (event.detail && event.target.closest("button")) $("hip").focus({ preventScroll: true }); });
for (const button of document.querySelectorAll(".close")) button.addEventListener("click", back);
$("comment").addEventListener("input", showReading);
viewers.hip.onDraw = (pxPerMm) => { $("film-bar").style.width = `${Math.round(50 * pxPerMm)}px`; };

// ---- start

async function signIn(name) {
  if (name !== undefined) await ask("/api/reader", { name });
  await loadState();
  $("leave").textContent = `Sign out ${state.reader}`;
  await showHip(await ask("/api/next"));
  loadReferences().then(() => hip && showReferences(hip)).catch(showError);
}

$("sign-in-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  try { await signIn($("name").value); } catch (error) { $("sign-in-fault").textContent = error.message; }
});

async function start() {
  await loadState();
  const { crowe, kl } = state.definitions;
  makeButtons("crowe", "crowe", Object.entries(crowe).map(([grade, text]) => [grade, grade, ROMAN[grade], `Crowe ${ROMAN[grade]}: ${text}`]));
  makeButtons("kl", "kl", Object.entries(kl).map(([grade, text]) => [grade, grade, grade, `KL ${grade}: ${text}`]));
  makeButtons("reasons", "reason", Object.entries(state.reasons).map(([name, text], i) => [name, String(i + 1), text, text]));
  fillHelp();
  $("next-command").textContent = state.next_command;
  if (state.reader) return signIn();
  $("sign-in-study").textContent = `Study ${state.study}`;
  $("known").replaceChildren(...state.readers.map((name) => make("option", { value: name })));
  const notes = [];
  if (state.prediction === "after") notes.push("The model's class of a hip is not shown before both hips of the patient are read, and then only under My readings.");
  if (state.prediction === "before") notes.push("The model's class is shown beside each hip: these readings are not blind.");
  if (state.again_every) notes.push(`About one hip in ${state.again_every} is shown a second time, unmarked, to measure your intra-reader agreement.`);
  $("sign-in-notes").textContent = notes.join(" ");
  open("sign-in");
  $("name").focus();
  return undefined;
}

start().catch((error) => {
  $("fatal-words").textContent = error.message;
  $("tabs").hidden = true;
  open("fatal");
});
