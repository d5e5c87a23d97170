// The tools of the page: measurements, another CT of the patient, CT slices. Nothing is fetched before it is asked for.
import { KINDS, describeValue } from "/static/geometry.js";
import { Marks } from "/static/measure.js";
import { closeComparison } from "/static/references.js";
import { ask, fetchPixels } from "/static/server.js";
import { Slices } from "/static/slices.js";
import { Viewer } from "/static/viewer.js";
import { $, make, sideClass } from "/static/words.js";

// Name of a button to its key and its words.
const BUTTONS = {
  ruler: ["m", "Ruler"],
  ce_angle: ["a", "CE angle"],
  crowe: ["t", "Crowe %"],
  slices: ["s", "CT slices"],
  other_ct: ["e", "Other CT"],
};
const MISSING = {
  crowe: "Crowe's proportion needs the view of the pelvis: set reading: true and run snakemake.",
  slices: "There are no CT slices of this hip: set reading: true and run snakemake.",
  other_ct: "The study has no other CT of this patient from before.",
};

export class Tools {
  // viewer: of the hip. onError: shows an error.
  constructor(viewer, onError) {
    Object.assign(this, { viewer, onError, list: [], opened: new Set() });
    this.pelvis = new Viewer($("pelvis-large"));
    this.other = new Viewer($("other-ct-image"));
    this.slices = new Slices($("slices"));
    const changed = () => this.say();
    this.marks = {
      hip: new Marks(viewer, $("hip-marks"), "hip", changed),
      pelvis: new Marks(this.pelvis, $("pelvis-marks"), "pelvis", changed),
    };
    for (const [name, [key, text]] of Object.entries(BUTTONS)) {
      const button = make("button", {}, make("kbd", {}, key.toUpperCase()), ` ${text}`);
      button.dataset.tool = name;
      button.addEventListener("click", () => this.toggle(name));
      $("tools").append(button);
    }
    for (const button of document.querySelectorAll(".close-tool")) button.addEventListener("click", () => this.close(button.parentElement.id));
    this.other.onDraw = (pxPerMm) => { $("other-ct-bar").style.width = `${Math.round(50 * pxPerMm)}px`; };
  }

  // Key to what it does on the page.
  get keys() {
    return Object.fromEntries(Object.entries(BUTTONS).map(([name, [key]]) => [key, () => this.toggle(name)]));
  }

  // A new hip: everything is closed, and what the reader measured on it before is drawn.
  show(hip, images) {
    Object.assign(this, { hip, images, list: hip.measurements.map((one) => ({ ...one, points: one.points.map((point) => [...point]) })) });
    this.opened.clear();
    for (const name of ["pelvis-layer", "slices", "other-ct"]) $(name).hidden = true;
    this.pelvis.clear();
    this.other.clear();
    if (this.list.some((one) => KINDS[one.kind].image === "pelvis")) this.pelvis.show(images.pelvis);
    for (const marks of Object.values(this.marks)) marks.show(this.list, hip.side, hip.tilt_deg);
    const has = { crowe: images.pelvis, slices: "slices" in hip.on_demand, other_ct: "other_ct" in hip.on_demand };
    for (const button of $("tools").children) button.hidden = button.dataset.tool in has && !has[button.dataset.tool];
    this.say();
  }

  // What goes with the reading.
  collect() {
    return { measurements: this.list, also_seen: [...this.opened] };
  }

  get started() {
    return Object.values(this.marks).find((marks) => marks.started);
  }

  // ---- keys of what is open: true where one was taken

  key(event, key) {
    if (this.marks.hip.key(event, key) || this.marks.pelvis.key(event, key) || this.slices.key(event, key)) return true;
    if (key === "Escape") return this.leave();
    if (key === "Enter" && event.target.tagName !== "BUTTON" && this.started?.started.points.length) {
      this.say("The measurement is not complete: set its points, or leave it with Esc. ");
      return true;
    }
    return false;
  }

  leave() {
    const { started } = this;
    const open = ["pelvis-layer", "slices", "other-ct"].find((name) => !$(name).hidden);
    if (started) started.stop();
    else if (open) this.close(open);
    return Boolean(started || open);
  }

  close(name) {
    $(name).hidden = true;
    this.viewer.canvas.focus({ preventScroll: true });
    this.say();
  }

  toggle(name) {
    if (name === "ruler" || name === "ce_angle") this.toggleMarks(name);
    else if (name === "crowe" ? !this.images.pelvis : !(name in this.hip.on_demand)) this.say(MISSING[name]);
    else if (name === "crowe") this.toggleCrowe();
    else this.toggleImage(name).catch(this.onError);
  }

  toggleMarks(kind) {
    const again = this.marks.hip.started?.kind === kind;
    for (const name of ["pelvis-layer", "slices"]) $(name).hidden = true;
    for (const marks of Object.values(this.marks)) marks.stop();
    if (!again) this.marks.hip.start(kind);
    this.viewer.canvas.focus({ preventScroll: true });
  }

  // The first press measures by the head's diameter, the next one by the height of the pelvis.
  toggleCrowe() {
    const { started } = this.marks.pelvis;
    const open = !$("pelvis-layer").hidden;
    this.marks.hip.stop();
    $("slices").hidden = true;
    $("pelvis-layer").hidden = false;
    if (!this.pelvis.image) this.pelvis.show(this.images.pelvis);
    $("pelvis-large").focus({ preventScroll: true });
    const kind = open && started?.kind === "crowe_head" ? "crowe_pelvis" : "crowe_head";
    if (!open && this.list.some((one) => one.kind.startsWith("crowe"))) this.say();
    else this.marks.pelvis.start(kind, started?.points.slice(0, 3) ?? []);
  }

  async toggleImage(name) {
    const section = { slices: "slices", other_ct: "other-ct" }[name];
    if (!$(section).hidden) return this.close(section);
    const { hip } = this;
    const address = `/api/images/${encodeURIComponent(hip.hip_id)}/${name}`;
    const image = await ask(address);
    image.pixels = await fetchPixels(`${address}/${image.sha256}`);
    if (hip !== this.hip) return undefined;
    this.opened.add(name);
    closeComparison();
    for (const marks of Object.values(this.marks)) marks.stop();
    $(section).hidden = false;
    if (name === "slices") {
      $("pelvis-layer").hidden = true;
      this.slices.show(image);
      this.slices.planes[0].canvas.focus({ preventScroll: true });
    } else {
      $("slices").hidden = true;
      $("other-ct-marker").textContent = hip.side;
      $("other-ct-marker").className = `marker small ${sideClass(hip.side)}`;
      $("other-ct-caption").textContent = image.caption;
      // Line integrals of both are on one scale, so that one window shows them alike.
      const { source, window } = this.images.hip;
      this.other.show(image.source === source ? { ...image, window } : image);
    }
    return this.say();
  }

  // ---- words

  say(text = "") {
    const started = this.started;
    const keys = started ? ". Arrows and Space do it by keyboard; Esc leaves" : "";
    const variant = { crowe_head: ". T: by the height of the pelvis, if every head is deformed", crowe_pelvis: ". T: by the diameter of a head" };
    $("tool-hint").textContent = text + (started ? started.wanted + (variant[started.started.kind] ?? "") + keys : "");
    const open = { slices: !$("slices").hidden, other_ct: !$("other-ct").hidden, crowe: !$("pelvis-layer").hidden };
    const on = started?.started.kind;
    for (const button of $("tools").children) button.setAttribute("aria-pressed", String(open[button.dataset.tool] ?? button.dataset.tool === on));
    $("measured").replaceChildren(...this.list.map((one) => make("li", {}, this.describeOne(one))));
  }

  describeOne(one) {
    const marks = this.marks[KINDS[one.kind].image];
    const value = describeValue(one.kind, marks.value(one));
    if (one.kind === "ruler") return `${value} in the plane of the hip`;
    if (one.kind !== "ce_angle") return `${value} of ${one.kind === "crowe_head" ? "the head's diameter" : "20 % of the pelvic height"}`;
    const tilt = this.hip.tilt_deg;
    return `${value}; vertical: ${tilt === null ? "that of the image" : `perpendicular to the line through both heads, tilted by ${Math.abs(tilt)}°`}`;
  }
}
