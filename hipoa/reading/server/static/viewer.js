// One image of 16 bits on a canvas: zoom, pan, window and level. Nothing here flips an image.

// Window and inversion, the same for all images: each image applies them to the window that it opens with.
const look = { level: 0, width: 1, invert: false };
const viewers = new Set();
let waiting = false;

export function resetWindow() { changeLook({ level: 0, width: 1 }); }
export function invert() { changeLook({ invert: !look.invert }); }
// Both in 300ths of the window that an image opens with.
export function changeWindow(level, width) {
  changeLook({ level: look.level + level / 300, width: Math.max(0.02, look.width + width / 300) });
}

function changeLook(change) {
  if (Object.entries(change).every(([name, value]) => look[name] === value)) return;
  Object.assign(look, change);
  if (waiting) return;
  waiting = true;
  // A mouse moves more often than ten images can be drawn.
  requestAnimationFrame(() => {
    waiting = false;
    for (const viewer of viewers) viewer.refresh();
  });
}

export class Viewer {
  // canvas: where it is drawn. still: without zoom and pan.
  constructor(canvas, { still = false } = {}) {
    this.canvas = canvas;
    this.buffer = document.createElement("canvas");
    this.greys = new Uint8ClampedArray(65536);
    this.table = new Uint32Array(65536);
    viewers.add(this);
    new ResizeObserver(() => this.draw()).observe(canvas);
    if (!still) this.listen();
  }

  // image: {pixels: Uint16Array, width, height, mm_per_px, window: [low, high], head: [x, y, radius] or null}
  show(image, mark = null) {
    this.image = image;
    this.mark = mark;
    this.buffer.width = image.width;
    this.buffer.height = image.height;
    this.zoom = 1;
    this.shift = [0, 0];
    this.render();
  }

  clear() {
    this.image = null;
    this.draw();
  }

  fit() {
    this.zoom = 1;
    this.shift = [0, 0];
    this.draw();
  }

  // Draws the image anew if window or inversion have changed since, and if it is on the page.
  refresh() {
    if (this.drawn !== JSON.stringify(look) && this.canvas.isConnected) this.render();
  }

  render() {
    if (!this.image) return;
    this.drawn = JSON.stringify(look);
    const { pixels, width, height, window: [from, to] } = this.image;
    const span = (to - from) * look.width;
    const low = (from + to) / 2 + look.level * (to - from) - span / 2;
    const scale = 255 / span;
    for (let value = 0; value < 65536; value += 1) {
      const grey = (value - low) * scale;
      this.greys[value] = look.invert ? 255 - grey : grey;
      this.table[value] = 0xff000000 | (this.greys[value] * 0x010101);
    }
    const context = this.buffer.getContext("2d");
    const seen = context.createImageData(width, height);
    const out = new Uint32Array(seen.data.buffer);
    for (let i = 0; i < pixels.length; i += 1) out[i] = this.table[pixels[i]];
    context.putImageData(seen, 0, 0);
    this.draw();
  }

  // Screen pixels per image pixel, and where the image's corner lies.
  layout() {
    const { width, height } = this.canvas;
    const scale = Math.min(width / this.image.width, height / this.image.height) * this.zoom;
    return {
      scale,
      left: (width - this.image.width * scale) / 2 + this.shift[0],
      top: (height - this.image.height * scale) / 2 + this.shift[1],
    };
  }

  draw() {
    const ratio = window.devicePixelRatio || 1;
    const wanted = [Math.round(this.canvas.clientWidth * ratio), Math.round(this.canvas.clientHeight * ratio)];
    if (this.canvas.width !== wanted[0] || this.canvas.height !== wanted[1]) [this.canvas.width, this.canvas.height] = wanted;
    const context = this.canvas.getContext("2d");
    context.clearRect(0, 0, ...wanted);
    if (this.image) this.drawImage(context, ratio);
    // What is drawn over the image follows it.
    this.canvas.dispatchEvent(new Event("draw"));
  }

  drawImage(context, ratio) {
    const { scale, left, top } = this.layout();
    context.imageSmoothingEnabled = scale < 6;
    context.imageSmoothingQuality = "high";
    context.drawImage(this.buffer, left, top, this.image.width * scale, this.image.height * scale);
    if (this.mark) this.drawMark(context, scale, left, top);
    if (this.onDraw) this.onDraw(scale / ratio / this.image.mm_per_px);
  }

  drawMark(context, scale, left, top) {
    const [x, y] = this.mark;
    const reach = (55 / this.image.mm_per_px) * scale;
    context.strokeStyle = "#f0b24a";
    context.lineWidth = 1.5;
    context.strokeRect(left + x * scale - reach, top + y * scale - reach, 2 * reach, 2 * reach);
  }

  zoomAt(factor, x, y) {
    if (!this.image) return;
    const before = this.layout();
    this.zoom = Math.min(20, Math.max(1, this.zoom * factor));
    const after = this.layout();
    this.shift[0] += x - after.left - ((x - before.left) / before.scale) * after.scale;
    this.shift[1] += y - after.top - ((y - before.top) / before.scale) * after.scale;
    if (this.zoom === 1) this.shift = [0, 0];
    this.draw();
  }

  listen() {
    const { canvas } = this;
    const ratio = () => window.devicePixelRatio || 1;
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.zoomAt(Math.exp(-event.deltaY / 400), event.offsetX * ratio(), event.offsetY * ratio());
    }, { passive: false });
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("dblclick", () => this.fit());
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      canvas.classList.add("moving");
    });
    for (const end of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(end, () => canvas.classList.remove("moving"));
    }
    canvas.addEventListener("pointermove", (event) => {
      if (!event.buttons) return;
      if (event.buttons === 1 && !event.shiftKey) {
        this.shift[0] += event.movementX * ratio();
        this.shift[1] += event.movementY * ratio();
        this.draw();
      } else {
        changeWindow(event.movementY, event.movementX);
      }
    });
  }
}
