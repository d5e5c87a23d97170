// Measurements on one image: points that are set by clicks or keys, drawn over the image, dragged and deleted.
import { KINDS, describeValue, fitCircle, measure } from "/static/geometry.js";

const SVG = "http://www.w3.org/2000/svg";
const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const CLICK_PX = 4; // a pointer that moved farther was dragging the image

function add(parent, name, attributes) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  parent.append(element);
  return element;
}

export class Marks {
  // viewer: of the image. svg: over its canvas. name: hip or pelvis. list: all measurements of the hip, those of
  // other images too: [{kind, points: [[x, y] in pixels], image_sha256}]. onChange: after each change.
  constructor(viewer, svg, name, onChange) {
    Object.assign(this, { viewer, svg, name, onChange, list: [], started: null, cross: null });
    viewer.canvas.addEventListener("draw", () => this.draw());
    this.listen();
  }

  show(list, side, tiltDeg) {
    Object.assign(this, { list, side, tiltDeg });
    this.clear();
    this.draw();
  }

  // Starts a measurement, with points that were set already.
  start(kind, points = []) {
    this.started = { kind, points };
    this.cross = null;
    for (const part of [this.viewer.canvas, this.svg]) part.classList.add("placing");
    this.changed();
  }

  stop() {
    this.clear();
    this.changed();
  }

  clear() {
    this.started = null;
    this.cross = null;
    for (const part of [this.viewer.canvas, this.svg]) part.classList.remove("placing");
  }

  // What is to be set next, in words.
  get wanted() {
    if (!this.started) return "";
    const { name, points } = KINDS[this.started.kind];
    const number = this.started.points.length;
    return `${name[0].toUpperCase()}${name.slice(1)}: set ${points[number]} (${number + 1} of ${points.length})`;
  }

  value({ kind, points }) {
    const scale = this.viewer.image.mm_per_px;
    return measure(kind, points.map(([x, y]) => [x * scale, y * scale]), this.side, this.tiltDeg);
  }

  place([x, y]) {
    const { width, height } = this.viewer.image;
    if (x < -0.5 || y < -0.5 || x > width - 0.5 || y > height - 0.5) return;
    const { kind, points } = this.started;
    points.push([x, y]);
    if (points.length === KINDS[kind].points.length) {
      // A hip has one angle and one proportion; rulers may be many.
      if (kind !== "ruler") this.remove(...this.list.filter((one) => KINDS[one.kind].name === KINDS[kind].name));
      this.list.push({ kind, points, image_sha256: this.viewer.image.sha256 });
      this.stop();
    } else this.changed();
  }

  takeBack() {
    this.started.points.pop();
    this.changed();
  }

  remove(...those) {
    for (const one of those) this.list.splice(this.list.indexOf(one), 1);
    this.changed();
  }

  changed() {
    this.draw();
    this.onChange();
  }

  // ---- keys

  // Moves the cross, or a point that has the focus; places a point.
  key(event, key) {
    const step = STEPS[key] && STEPS[key].map((part) => part * (event.shiftKey ? 10 : 1));
    const handle = event.target.closest?.("[data-measurement]");
    if (handle && this.svg.contains(handle)) {
      const one = this.list[handle.dataset.measurement];
      if (step && handle.dataset.point) this.movePoint(one.points[handle.dataset.point], step);
      else if (["Delete", "Backspace"].includes(key) || (!handle.dataset.point && ["Enter", " "].includes(key))) this.remove(one);
      else return false;
      return true;
    }
    if (!this.started) return false;
    if (step) {
      this.cross ??= this.middle();
      this.movePoint(this.cross, step);
    } else if (key === " " && this.cross) this.place([...this.cross]);
    else if (key === "Backspace" && this.started.points.length) this.takeBack();
    else return false;
    return true;
  }

  middle() {
    const { width, height, head } = this.viewer.image;
    return head ? [head[0], head[1]] : [(width - 1) / 2, (height - 1) / 2];
  }

  movePoint(point, [x, y]) {
    const { width, height } = this.viewer.image;
    point[0] = Math.min(width - 0.5, Math.max(-0.5, point[0] + x));
    point[1] = Math.min(height - 0.5, Math.max(-0.5, point[1] + y));
    this.changed();
  }

  // ---- pointer

  listen() {
    const { canvas } = this.viewer;
    let down = null;
    canvas.addEventListener("pointerdown", (event) => { down = event.button === 0 ? [event.clientX, event.clientY] : null; });
    canvas.addEventListener("pointerup", (event) => {
      const clicked = down && Math.hypot(event.clientX - down[0], event.clientY - down[1]) < CLICK_PX;
      down = null;
      if (clicked && this.started) this.place(this.toImage(event));
    });
    this.svg.addEventListener("pointerdown", (event) => {
      const handle = event.target.closest("[data-measurement]");
      if (!handle) return;
      if (handle.dataset.point) this.dragged = { handle, point: this.list[handle.dataset.measurement].points[handle.dataset.point] };
      else this.remove(this.list[handle.dataset.measurement]);
      if (this.dragged) this.svg.setPointerCapture(event.pointerId);
    });
    this.svg.addEventListener("pointermove", (event) => {
      if (!this.dragged) return;
      const [x, y] = this.toImage(event);
      this.movePoint(this.dragged.point, [x - this.dragged.point[0], y - this.dragged.point[1]]);
    });
    for (const end of ["pointerup", "pointercancel"]) {
      this.svg.addEventListener(end, () => {
        this.dragged = null;
        // The keys are the page's again: Backspace deletes a digit, not the point that was dragged.
        canvas.focus({ preventScroll: true });
      });
    }
  }

  // Whole pixels are the centres of pixels.
  toImage(event) {
    const box = this.viewer.canvas.getBoundingClientRect();
    const ratio = window.devicePixelRatio || 1;
    const { scale, left, top } = this.viewer.layout();
    return [((event.clientX - box.left) * ratio - left) / scale - 0.5, ((event.clientY - box.top) * ratio - top) / scale - 0.5];
  }

  toScreen([x, y]) {
    const ratio = window.devicePixelRatio || 1;
    const { scale, left, top } = this.viewer.layout();
    return [(left + (x + 0.5) * scale) / ratio, (top + (y + 0.5) * scale) / ratio];
  }

  // ---- drawing

  draw() {
    const { activeElement } = document;
    const focused = this.svg.contains(activeElement) ? activeElement.getAttribute("aria-label") : null;
    this.svg.replaceChildren();
    // A canvas that was hidden has no size until its viewer draws, which draws the marks again.
    if (!this.viewer.image || !this.viewer.canvas.width) return;
    this.list.forEach((one, number) => { if (KINDS[one.kind].image === this.name) this.drawOne(one, number); });
    if (this.started) this.drawOne(this.started, null);
    if (this.cross) {
      const [x, y] = this.toScreen(this.cross);
      add(this.svg, "path", { d: `M${x - 14} ${y}H${x - 3}M${x + 3} ${y}H${x + 14}M${x} ${y - 14}V${y - 3}M${x} ${y + 3}V${y + 14}`, class: "cross" });
    }
    // The same point keeps the focus while it is moved.
    if (focused) [...this.svg.querySelectorAll("[aria-label]")].find((each) => each.getAttribute("aria-label") === focused)?.focus();
  }

  drawOne(one, number) {
    const points = one.points.map((point) => this.toScreen(point));
    const group = add(this.svg, "g", {});
    if (one.kind === "ruler") this.drawLine(group, points[0], points[1]);
    if (one.kind === "ce_angle") this.drawAngle(group, points);
    if (one.kind.startsWith("crowe")) this.drawCrowe(group, one.kind, points);
    points.forEach(([x, y], at) => this.drawHandle(group, x, y, one, number, at));
    if (number !== null) this.drawLabel(group, points.at(-1), one, number);
  }

  drawLine(group, from, to, kind = "") {
    if (from && to) add(group, "path", { d: `M${from[0]} ${from[1]}L${to[0]} ${to[1]}`, class: kind });
  }

  drawAngle(group, points) {
    const circle = points.length >= 3 && fitCircle(...points.slice(0, 3));
    if (!circle) return;
    const { centre: [x, y], radius } = circle;
    const tilt = ((this.tiltDeg ?? 0) * Math.PI) / 180;
    add(group, "circle", { cx: x, cy: y, r: radius, class: "thin" });
    this.drawLine(group, [x, y], [x + 1.7 * radius * Math.sin(tilt), y - 1.7 * radius * Math.cos(tilt)], "dashed");
    this.drawLine(group, [x, y], points[3]);
  }

  drawCrowe(group, kind, [one, other, junction, start, end]) {
    this.drawLine(group, one, other);
    const [x, y] = other ? [other[0] - one[0], other[1] - one[1]] : [0, 0];
    // Two points at one place give no line to drop a perpendicular on.
    if (junction && (x || y)) {
      const along = ((junction[0] - one[0]) * x + (junction[1] - one[1]) * y) / (x * x + y * y);
      this.drawLine(group, [one[0] + along * x, one[1] + along * y], junction, "dashed");
    }
    this.drawLine(group, start, end, kind === "crowe_head" ? "" : "thin");
  }

  drawHandle(group, x, y, one, number, at) {
    const what = `${KINDS[one.kind].name}, ${KINDS[one.kind].points[at]}`;
    if (number === null) add(group, "circle", { cx: x, cy: y, r: 3, class: "point" });
    else {
      const handle = add(group, "g", { class: "handle", tabindex: "0", role: "button", "aria-label": `${number + 1}: ${what}`, "data-measurement": number, "data-point": at });
      add(handle, "circle", { cx: x, cy: y, r: 11, class: "grip" });
      add(handle, "circle", { cx: x, cy: y, r: 3, class: "point" });
    }
  }

  drawLabel(group, [x, y], one, number) {
    // Within the image, whichever way the measurement points.
    const left = x > this.svg.clientWidth - 190;
    const label = add(group, "text", { x: left ? x - 16 : x + 16, y: Math.max(20, y - 10), "text-anchor": left ? "end" : "start" });
    label.textContent = describeValue(one.kind, this.value(one));
    const box = label.getBBox();
    const close = add(group, "g", { class: "handle", tabindex: "0", role: "button", "aria-label": `${number + 1}: delete the ${KINDS[one.kind].name}`, "data-measurement": number });
    const at = [left ? box.x - 14 : box.x + box.width + 14, box.y + box.height / 2];
    add(close, "circle", { cx: at[0], cy: at[1], r: 10, class: "grip" });
    add(close, "path", { d: `M${at[0] - 4} ${at[1] - 4}L${at[0] + 4} ${at[1] + 4}M${at[0] + 4} ${at[1] - 4}L${at[0] - 4} ${at[1] + 4}` });
  }
}
