// The keys, and what the grades mean, as a view of its own and as tooltips.
import { state } from "/static/server.js";
import { $, make, ROMAN } from "/static/words.js";

export const KEYS = [
  ["1-4, then 0-4", "Crowe, then KL"],
  ["Backspace", "deletes the last digit"],
  ["Enter", "saves and shows the next hip"],
  ["X, then 1-5", "cannot be graded, and why"],
  ["D", "decide later: the hip comes back at the end of the list"],
  ["C", "comment; Enter ends it"],
  ["Z", "takes back the last reading, also one put off; others under My readings"],
  ["V", "shows a reference beside the hip, and closes it"],
  ["PageUp, PageDown", "the reference before and after"],
  ["M, A, T", "ruler, centre-edge angle, Crowe's proportion: click each point that is named, or move a cross by the arrows and press Space"],
  ["S, E", "CT slices through the head; another CT of the patient"],
  ["P", "pause: hides the hip and stops the clock; Enter continues"],
  ["+ - or wheel, drag, F", "zoom, pan, fit"],
  ["arrows or right drag, W, I", "window and level, reset, invert: of all images"],
  ["Esc", "closes what is open; leaves a consensus unsaved"],
  ["?", "this help"],
];

export function fillHelp() {
  $("help-keys").replaceChildren(...KEYS.map(([keys, does]) => make("tr", {}, make("th", { scope: "row" }, keys), make("td", {}, does))));
  const { crowe, kl, measured, sources } = state.definitions;
  const list = (name, grades, say) => Object.entries(grades).flatMap(([grade, text]) => [make("dt", {}, `${name} ${say(grade)}`), make("dd", {}, text)]);
  $("help-crowe").replaceChildren(...list("Crowe", crowe, (grade) => ROMAN[grade]));
  $("help-measured").textContent = measured;
  $("help-kl").replaceChildren(...list("KL", kl, String));
  $("help-sources").replaceChildren(...sources.map((source) => make("li", {}, source)));
}
