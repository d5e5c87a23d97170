// Elements, and how the page names sides, grades and keys. All text is set as text, never as HTML.
import { describeValue } from "/static/geometry.js";
import { state } from "/static/server.js";

export const $ = (id) => document.getElementById(id);
export const ROMAN = { 1: "I", 2: "II", 3: "III", 4: "IV" };
export const SIDES = { L: "left", R: "right" };
export const sideClass = (side) => (side === "R" ? "right-side" : "left-side");

export const sayGrade = ({ crowe, kl }) => `Crowe ${ROMAN[crowe]}, KL ${kl}`;

export function describe(record) {
  const grade = record.kind === "later" ? "put off to the end of the list" : record.reason ? state.reasons[record.reason] : sayGrade(record);
  return [record.comment ? `${grade} (${record.comment})` : grade, ...describeMeasured(record)].join("; ");
}

export const describeMeasured = ({ measurements }) => measurements.map(({ kind, value }) => describeValue(kind, value));

// An element with its attributes and what it holds: texts or elements.
export function make(tag, attributes, ...held) {
  const made = Object.assign(document.createElement(tag), attributes);
  made.append(...held);
  return made;
}
