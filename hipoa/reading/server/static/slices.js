// Axial, coronal and sagittal CT slices through the head: the wheel or the arrows go from slice to slice.
import { Viewer } from "/static/viewer.js";
import { make } from "/static/words.js";

// Left and right edge of each plane, and where a slice lies that is before or after the middle one.
const PLANES = [
  { name: "axial", edges: ["R", "L"], ways: ["above", "below"] },
  { name: "coronal", edges: ["R", "L"], ways: ["in front of", "behind"] },
  { name: "sagittal", edges: ["A", "P"], ways: ["to the right of", "to the left of"] },
];
// By plane, the planes whose slices are counted along its columns and its rows.
const ACROSS = [[2, 1], [2, 0], [1, 0]];
const BAR_MM = 20;

export class Slices {
  constructor(section) {
    this.section = section;
    this.planes = PLANES.map((plane, number) => this.make(plane, number));
  }

  make(plane, number) {
    const canvas = make("canvas", { tabIndex: 0 });
    for (const [name, value] of [["role", "slider"], ["aria-label", `${plane.name} slice`], ["aria-orientation", "vertical"]]) canvas.setAttribute(name, value);
    const [left, right] = plane.edges;
    const [caption, bar] = [make("figcaption"), make("span")];
    this.section.append(make("figure", {}, canvas,
      make("span", { className: "marker small right-side" }, left), make("span", { className: "marker small left-side" }, right),
      caption, make("p", { className: "scale" }, bar, `${BAR_MM} mm`)));
    const viewer = new Viewer(canvas, { still: true });
    viewer.onDraw = (pxPerMm) => { bar.style.width = `${Math.round(BAR_MM * pxPerMm)}px`; };
    canvas.addEventListener("draw", () => this.drawLines(number));
    let turned = 0;
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      turned += event.deltaY;
      const steps = Math.trunc(turned / 50); // a touchpad sends many small turns
      turned -= steps * 50;
      this.move(number, Math.sign(steps));
    }, { passive: false });
    return { ...plane, canvas, caption, viewer };
  }

  // stack: {pixels, width, height, mm_per_px, apart_mm} of all slices, a row for each plane.
  show(stack) {
    this.stack = stack;
    this.size = stack.height / PLANES.length;
    this.count = stack.width / this.size;
    this.at = PLANES.map(() => (this.count - 1) / 2);
    PLANES.forEach((_, number) => this.draw(number));
  }

  // Whether the key was taken: it moves the plane that has the focus.
  key(event, key) {
    const number = this.planes.findIndex(({ canvas }) => canvas === event.target);
    const step = { ArrowUp: -1, ArrowLeft: -1, ArrowDown: 1, ArrowRight: 1 }[key];
    if (number < 0 || !step) return false;
    this.move(number, step);
    return true;
  }

  move(number, steps) {
    const to = Math.min(this.count - 1, Math.max(0, this.at[number] + steps));
    if (!steps || to === this.at[number]) return;
    this.at[number] = to;
    this.draw(number);
    // The lines in the others show where it is now.
    this.planes.forEach(({ viewer }, other) => { if (other !== number) viewer.draw(); });
  }

  draw(number) {
    const { pixels, width, mm_per_px: scale, apart_mm: apart } = this.stack;
    const { canvas, caption, viewer, name, ways } = this.planes[number];
    const { size } = this;
    const slice = new Uint16Array(size * size);
    for (let row = 0; row < size; row += 1) {
      const from = (number * size + row) * width + this.at[number] * size;
      slice.set(pixels.subarray(from, from + size), row * size);
    }
    viewer.show({ pixels: slice, width: size, height: size, mm_per_px: scale, window: [0, 65535], head: null });
    const away = (this.at[number] - (this.count - 1) / 2) * apart;
    const where = away ? `${Math.abs(away)} mm ${ways[away > 0 ? 1 : 0]} the centre` : "through the centre of the head";
    caption.textContent = `${name}, ${where}`;
    for (const [key, value] of [["min", 1], ["max", this.count], ["now", this.at[number] + 1], ["text", where]]) canvas.setAttribute(`aria-value${key}`, value);
  }

  // Short lines at the edges, where the slices of the other planes are.
  drawLines(number) {
    const { viewer, canvas } = this.planes[number];
    if (!viewer.image) return;
    const { scale, left, top } = viewer.layout();
    const [across, down] = ACROSS[number].map((plane) => {
      const away = ((this.at[plane] - (this.count - 1) / 2) * this.stack.apart_mm) / this.stack.mm_per_px;
      return (this.size / 2 + away) * scale;
    });
    const [side, reach] = [this.size * scale, this.size * scale * 0.07];
    const context = canvas.getContext("2d");
    context.strokeStyle = "#f0b24a";
    context.lineWidth = 1.5;
    context.beginPath();
    for (const from of [0, side - reach]) {
      context.moveTo(left + across, top + from);
      context.lineTo(left + across, top + from + reach);
      context.moveTo(left + from, top + down);
      context.lineTo(left + from + reach, top + down);
    }
    context.stroke();
  }
}
