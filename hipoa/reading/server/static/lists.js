// The reader's own readings, and the hips on which readers disagree.
import { state } from "/static/server.js";
import { $, describe, describeMeasured, make, ROMAN, sayGrade } from "/static/words.js";

function addRow(body, texts, ...actions) {
  const row = body.insertRow();
  for (const text of texts) row.insertCell().textContent = text;
  const cell = row.insertCell();
  for (const [words, action] of actions) {
    const button = make("button", {}, words);
    button.addEventListener("click", action);
    cell.append(button);
  }
}

// undo: what undoes the reading of an id.
export function fillMine({ readings, predictions, n_to_show: waiting }, undo) {
  const body = $("mine").querySelector("tbody");
  body.replaceChildren();
  for (const r of readings) {
    const note = [r.reason && state.reasons[r.reason], r.comment, ...describeMeasured(r)].filter(Boolean).join("; ");
    const model = predictions[r.hip_id];
    const told = model ? sayGrade(model) : "";
    const what = [r.time.slice(0, 16).replace("T", " "), r.case_id, r.side, ROMAN[r.crowe] ?? "", r.kl ?? "", note, r.seconds, told];
    addRow(body, what, ["Undo and read again", () => undo(r.id)]);
  }
  if (!readings.length) addRow(body, ["nothing yet", "", "", "", "", "", "", ""]);
  $("show-model").hidden = !waiting;
  $("show-model").textContent = `Show the model's class of ${waiting} more`;
  $("model-words").textContent = {
    never: "The model's classes are not shown.",
    before: "The model's class was shown beside each hip: these readings are not blind.",
    after: state.again_every
      ? "The model's class of a hip can be shown when both hips of the patient are read and either 40 readings have followed or the list is done. A hip read again after that is recorded as not blind."
      : "The model's class of a hip can be shown when both hips of the patient are read. A hip read again after that is recorded as not blind.",
  }[state.prediction];
}

// settle: what opens a hip for its consensus.
export function fillDisagreements(found, settle) {
  const body = $("open-cases").tBodies[0];
  body.replaceChildren();
  for (const one of found.open) {
    const { case_id: name, side } = one.readings[0];
    const say = (records) => records.map((r) => `${r.reader}: ${describe(r)}`).join(" · ");
    addRow(body, [`${name} ${side}`, say(one.readings), say(one.proposals)], ["Record consensus", () => settle(one.hip_id)]);
  }
  if (!found.open.length) addRow(body, ["none", "", ""]);
  $("consensus-rule").textContent = state.senior
    ? `A consensus counts when two readers of the hip have recorded the same, or ${state.senior} alone.`
    : "A consensus counts when two readers of the hip, each under her own name, have recorded the same.";
  const kappas = $("kappas").tBodies[0];
  kappas.replaceChildren();
  const digits = (cell) => Number(cell).toFixed(2);
  for (const k of found.agreement) {
    const who = k.question === "intra-reader" ? `${k.a}, repeated` : `${k.a} and ${k.b}`;
    const span = k.low === "" ? "" : ` (${digits(k.low)} to ${digits(k.high)})`;
    const metric = { ECA: "exact agreement", ONCA: "at most one apart", MAE: "mean difference, in grades" }[k.metric] ?? k.metric;
    const row = kappas.insertRow();
    for (const text of [who, k.index, metric, k.value === "" ? "not defined" : digits(k.value) + span, k.n_hips]) row.insertCell().textContent = text;
  }
  if (!found.agreement.length) {
    const cell = kappas.insertRow().insertCell();
    cell.colSpan = 5;
    cell.textContent = state.again_every
      ? "nothing yet: it takes two hips that another reader has read too, and your last 40 readings count only when the list is done"
      : "no other reader has read two of your hips";
  }
}
