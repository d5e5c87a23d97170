// Graded hips of each class: in a strip, and one of them at a time beside the hip in its size.
import { ask, fetchPixels } from "/static/server.js";
import { Viewer } from "/static/viewer.js";
import { $, make, sayGrade, sideClass } from "/static/words.js";

const viewer = new Viewer($("compared"));
viewer.onDraw = (pxPerMm) => { $("compared-bar").style.width = `${Math.round(50 * pxPerMm)}px`; };
let references = [];
let fitting = []; // of the side of the hip, without those of its patient
let shown = -1; // index among these, -1 for none

export async function loadReferences() {
  references = (await ask("/api/references")).references;
  for (const reference of references) {
    reference.image.pixels = await fetchPixels(`/api/references/${reference.number}`);
    Object.assign(reference, makeButton(reference));
  }
}

export function showReferences(hip) {
  const box = $("references");
  fitting = references.filter((r) => r.side === hip.side && r.button && !hip.hidden_references.includes(r.number));
  const names = fitting.map((r) => r.number).join(" ");
  if (box.dataset.names === names && box.childElementCount) return;
  box.dataset.names = names;
  closeComparison();
  box.replaceChildren(...fitting.map((r) => r.button));
  for (const r of fitting) r.viewer.refresh();
  if (references.length && !fitting.length) box.append(make("p", {}, "No graded hip of this side to compare with."));
}

// Made once for each reference, since hips of both sides take turns.
function makeButton(reference) {
  const canvas = document.createElement("canvas");
  const who = reference.readers > 1 ? `${reference.readers} readers agree` : "one reading";
  const words = make("span", {}, make("b", {}, sayGrade(reference).replace("KL ", "KL\u00a0")), make("span", {}, who));
  if (reference.synthetic) words.append(make("em", {}, "synthetic"));
  const button = make("button", { title: "show beside the hip" }, canvas, words);
  button.setAttribute("aria-pressed", "false");
  button.addEventListener("click", () => {
    const index = fitting.indexOf(reference);
    if (shown === index) closeComparison(); else compare(index);
  });
  const still = new Viewer(canvas, { still: true });
  still.show(reference.image);
  return { button, viewer: still };
}

function compare(index) {
  shown = index;
  const reference = fitting[index];
  $("compare").hidden = false;
  document.body.classList.add("comparing");
  viewer.show(reference.image);
  $("compared-marker").textContent = reference.side;
  $("compared-marker").className = `marker ${sideClass(reference.side)}`;
  $("compared-note").textContent = `reference: ${sayGrade(reference)}${reference.synthetic ? ", synthetic" : ""}`;
  press();
}

export function closeComparison() {
  const was = shown >= 0;
  shown = -1;
  $("compare").hidden = true;
  document.body.classList.remove("comparing");
  press();
  return was;
}

const press = () => [...$("references").querySelectorAll("button")].forEach((button, i) => button.setAttribute("aria-pressed", String(i === shown)));

// Opens or closes the comparison; it opens with the grade chosen so far, where there is one. Says what it cannot do.
export function toggleComparison({ crowe, kl }) {
  if (closeComparison()) return "";
  if (!fitting.length) return "There is no graded hip of this side to compare with.";
  compare(Math.max(0, fitting.findIndex((r) => Number(r.crowe) === crowe && (kl === null || Number(r.kl) === kl))));
  return "";
}

export function stepReference(by) {
  if (!fitting.length) return "There is no graded hip of this side to compare with.";
  compare(shown < 0 ? 0 : (shown + by + fitting.length) % fitting.length);
  return "";
}
