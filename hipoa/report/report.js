"use strict";
// Plain and inline: the page must open where there is no network. All text is set as text, never as HTML.

function make(name, attributes = {}, ...children) {
  const svg = ["svg", "path", "title"].includes(name);
  const node = svg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

function save(url, name) {
  const link = make("a", { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
}

const plain = (text) => text.replace(/\s+/g, " ").trim();
const asFile = (text) => plain(text).toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "").slice(0, 60);

// ---- tables: sort by a click on a heading, and save as CSV

const cellText = (cell) => plain(cell.innerText || cell.textContent);

function compareCells(a, b) {
  const [x, y] = [parseFloat(a), parseFloat(b)];
  if (!Number.isNaN(x) && !Number.isNaN(y) && x !== y) return x - y;
  return a.localeCompare(b, "en", { numeric: true });
}

function sortTable(table, column, descending) {
  const body = table.tBodies[0];
  const rows = [...body.rows].map((row) => [cellText(row.cells[column] || row.cells[0]), row]);
  const empty = (text) => text === "" || text === "\u2013";
  rows.sort(([a], [b]) => {
    if (empty(a) || empty(b)) return empty(a) - empty(b);
    return descending ? compareCells(b, a) : compareCells(a, b);
  });
  body.append(...rows.map(([, row]) => row));
}

function addSorting(table) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = make("button", { type: "button", class: "sort" });
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const descending = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", descending ? "descending" : "ascending");
      sortTable(table, column, descending);
    });
  });
}

// A spreadsheet would run text that begins like a formula.
function toCell(text) {
  const number = /^[+-]?\d+(\.\d+)?(e[+-]?\d+)?$/i.test(text);
  const safe = !number && /^[=+\-@\t\r]/.test(text) ? "'" + text : text;
  return /[",\n\r]/.test(safe) ? '"' + safe.replace(/"/g, '""') + '"' : safe;
}

function writeCsv(table) {
  const lines = [...table.tHead.rows, ...table.tBodies[0].rows];
  return lines.map((row) => [...row.cells].map((cell) => toCell(cellText(cell))).join(",")).join("\r\n") + "\r\n";
}

function addCsv(table) {
  const caption = plain(table.caption.textContent);
  const button = make("button", { type: "button", class: "tool", "aria-label": "Save as CSV: " + caption }, "CSV");
  button.addEventListener("click", () => {
    const url = URL.createObjectURL(new Blob(["\ufeff", writeCsv(table)], { type: "text/csv" }));
    save(url, asFile(caption) + ".csv");
    setTimeout(() => URL.revokeObjectURL(url), 1000);
  });
  table.caption.append(" ", button);
}

for (const table of document.querySelectorAll("main table:not(.matrix)")) {
  addSorting(table);
  addCsv(table);
}

// A part of a table or figure that is out of sight is announced; tables in details get their size when these open.
const watched = new ResizeObserver((entries) => {
  for (const { target } of entries) target.classList.toggle("cut", target.scrollWidth > target.clientWidth + 1);
});
document.querySelectorAll(".scroll, figure").forEach((box) => watched.observe(box));

// ---- figures: save as SVG and PNG

function savePng(image, name) {
  const canvas = make("canvas", { width: 2 * image.naturalWidth, height: 2 * image.naturalHeight });
  const pen = canvas.getContext("2d");
  pen.fillStyle = "#fff";
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.drawImage(image, 0, 0, canvas.width, canvas.height);
  save(canvas.toDataURL("image/png"), name + ".png");
}

for (const figure of document.querySelectorAll("figure[data-name]")) {
  const image = figure.querySelector("img");
  const name = figure.dataset.name;
  const add = (kind, act) => {
    const button = make("button", { type: "button", class: "tool", "aria-label": kind + " of the figure " + name }, kind);
    button.addEventListener("click", act);
    figure.querySelector("figcaption").append(" ", button);
  };
  if (image.src.startsWith("data:image/svg")) {
    add("SVG", () => save(image.src, name + ".svg"));
    add("PNG", () => savePng(image, name));
  } else {
    add("PNG", () => save(image.src, name + ".png"));
  }
}

// ---- the maps of the features

const SIZE = 300;
const SHAPES = {
  Exact: "M-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0 -9 0Z",
  "1-Neighbor": "M0 -6L5.6 4.4H-5.6Z",
  Others: "M-5.5 -3L-3 -5.5L0 -2.5L3 -5.5L5.5 -3L2.5 0L5.5 3L3 5.5L0 2.5L-3 5.5L-5.5 3L-2.5 0Z",
  "": "M-2.5 -2.5H2.5V2.5H-2.5Z",
};
const ERRORS = { 0: "Exact", 1: "1-Neighbor" };

function groupOf(hip) {
  return hip.error === null ? "" : ERRORS[hip.error] || "Others";
}

function placeIn(points) {
  const range = (name) => [Math.min(...points.map((p) => p[name])), Math.max(...points.map((p) => p[name]))];
  const [[left, right], [low, high]] = [range("x"), range("y")];
  const scale = (SIZE - 24) / Math.max(right - left, high - low, 1e-9);
  return (p) => [
    SIZE / 2 + (p.x - (left + right) / 2) * scale,
    SIZE / 2 - (p.y - (low + high) / 2) * scale,
  ];
}

function startMap(root) {
  const data = JSON.parse(document.getElementById("map-data").textContent);
  const images = new Map([...document.querySelectorAll("img[data-hip]")].map((image) => [image.dataset.hip, image.src]));
  const [network, colour] = root.querySelectorAll("select");
  const [legend, panels, card] = ["legend", "panels", "card"].map((name) => root.querySelector("." + name));
  let pinned = null;

  const shown = () => data.maps.filter((map) => map.experiment === network.value);

  function palette(points) {
    const values = points.map((p) => p.uncertainty).filter((u) => u !== null).sort((a, b) => a - b);
    const rank = (u) => values.filter((v) => v < u).length / Math.max(values.length - 1, 1);
    const step = (u) => data.scale[Math.min(data.scale.length - 1, Math.floor(rank(u) * data.scale.length))];
    const show = (u) => Number(u).toPrecision(3);
    const classes = data.scale.map((c, i) => ["class " + (i + 1), c]);
    const folds = [...new Set(shown().map((map) => map.fold))];
    const choices = {
      class: [(p) => (p.grade ? data.scale[p.grade - 1] : data.grey), classes],
      error: [(p) => data.groups[groupOf(p)] || data.grey, Object.entries(data.groups)],
      uncertainty: [
        (p) => (p.uncertainty === null ? data.grey : step(p.uncertainty)),
        values.length ? data.scale.map((c, i) => [
          show(values[Math.min(values.length - 1, Math.floor((i * values.length) / data.scale.length))]) + " or more", c]) : [],
      ],
      fold: [(p) => data.folds[p.fold % data.folds.length], folds.map((f) => ["fold " + f, data.folds[f % data.folds.length]])],
      side: [(p) => data.sides[p.side], [["left hip", data.sides.L], ["right hip", data.sides.R]]],
    };
    return choices[colour.value];
  }

  function describe(hip) {
    const known = (value, words) => (value === null ? "not known" : words(value));
    const lines = [
      ["hip", hip.hip + (hip.side === "L" ? ", left" : ", right")],
      ["label", known(hip.grade, (g) => g + (data.classes[g] ? ", " + data.classes[g] : ""))],
      ["predicted", hip.predicted + (data.classes[hip.predicted] ? ", " + data.classes[hip.predicted] : "")],
      ["error", known(hip.error, (e) => (e === 0 ? "none" : e + (e === 1 ? " class" : " classes")))],
      // One less the largest probability would repeat the line below.
      ...(data.measure.endsWith("largest probability") ? [] : [[data.measure, known(hip.uncertainty, (u) => Number(u).toPrecision(3))]]),
      ["largest probability", known(hip.probability, (p) => p.toFixed(2))],
      ["fold", String(hip.fold)],
    ];
    const list = make("dl");
    for (const [name, value] of lines) list.append(make("dt", {}, name), make("dd", {}, value));
    const picture = images.has(hip.hip)
      ? make("img", { src: images.get(hip.hip), width: 150, height: 150, alt: "Radiograph of " + hip.hip })
      : make("p", { class: "quiet" }, "This radiograph is not in the page.");
    card.replaceChildren(picture, list);
  }

  function pin(mark) {
    if (pinned) pinned.classList.remove("pinned");
    pinned = mark;
    if (mark) mark.classList.add("pinned");
  }

  function addMark(svg, hip, place, fill) {
    const [x, y] = place(hip);
    const mark = make("path", { d: SHAPES[groupOf(hip)], transform: `translate(${x.toFixed(1)} ${y.toFixed(1)})`, fill });
    mark.hip = hip;
    mark.append(make("title", {}, hip.hip));
    svg.append(mark);
    return mark;
  }

  function drawPanel(map, fill) {
    const words = `Fold ${map.fold}: ${map.words}`;
    const svg = make("svg", {
      viewBox: `0 0 ${SIZE} ${SIZE}`, tabindex: 0, role: "group",
      "aria-label": words + ". Arrow keys select a hip, Escape deselects it.",
    });
    const place = placeIn(map.points);
    const marks = map.points.map((hip) => addMark(svg, hip, place, fill(hip)));
    svg.addEventListener("pointerover", (event) => { if (event.target.hip && !pinned) describe(event.target.hip); });
    svg.addEventListener("click", (event) => {
      const same = event.target === pinned;
      pin(event.target.hip && !same ? event.target : null);
      if (event.target.hip) describe(event.target.hip);
    });
    let at = -1;
    svg.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (event.key === "Escape") pin(null);
      if (!step) return;
      event.preventDefault();
      at = (at + step + marks.length) % marks.length;
      pin(marks[at]);
      describe(marks[at].hip);
    });
    return make("div", { class: "panel" + (map.mark ? " " + map.mark : "") }, make("p", {}, words), svg);
  }

  function draw() {
    pin(null);
    const maps = shown();
    const [fill, keys] = palette(maps.flatMap((map) => map.points));
    panels.replaceChildren(...maps.map((map) => drawPanel(map, fill)));
    legend.replaceChildren(...keys.map(([words, c]) => {
      const swatch = make("i");
      swatch.style.background = c;
      return make("span", {}, swatch, words);
    }));
  }

  for (const choice of [network, colour]) choice.addEventListener("change", draw);
  root.hidden = false;
  draw();
}

const root = document.getElementById("map");
if (root) startMap(root);

// ---- on paper

// What part 1 folds is printed, unfolded, in the appendix, so that the part stays short. In the other part, what is marked for it.
const appendix = document.getElementById("appendix");
const undo = [];
addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("#surgeon details:not([open])")) {
    const number = undo.length + 1;
    const note = make("p", { class: "quiet" }, plain(details.querySelector("summary").textContent) + ": see appendix " + number);
    const title = make("p", { class: "appendix-title" }, "Appendix " + number);
    details.replaceWith(note);
    appendix.append(title, details);
    details.open = true;
    undo.push(() => { details.open = false; note.replaceWith(details); title.remove(); });
  }
  appendix.hidden = !undo.length;
  for (const details of document.querySelectorAll("#technical details[data-print]:not([open])")) {
    details.open = true;
    undo.push(() => { details.open = false; });
  }
});
addEventListener("afterprint", () => {
  for (const act of undo.splice(0)) act();
  appendix.hidden = true;
});
