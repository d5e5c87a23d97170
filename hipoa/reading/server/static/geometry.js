// What is measured between points, in mm: to the image's right and downwards. The server computes the recorded
// values by the same formulas (hipoa/reading/measurements.py, which has their sources).

// By kind its image, what each point is, and its unit.
const TEARDROPS = ["the teardrop of one side", "the teardrop of the other side", "the medial head-neck junction of this hip"];
export const KINDS = {
  ruler: { name: "ruler", image: "hip", unit: "mm", points: ["one end", "the other end"] },
  ce_angle: { name: "centre-edge angle", image: "hip", unit: "deg", points: [...["first", "second", "third"].map((n) => `a ${n} point on the round outline of the head`), "the lateral edge of the sourcil"] },
  crowe_head: { name: "Crowe's proportion", image: "pelvis", unit: "%", points: [...TEARDROPS, "one end of the diameter of an undeformed head", "the other end of it"] },
  crowe_pelvis: { name: "Crowe's proportion", image: "pelvis", unit: "%", points: [...TEARDROPS, "the highest point of the iliac crest", "the lowest point of the ischial tuberosity"] },
};
const LEAST_MM = 1;
const HEAD_SHARE = 0.2; // of the height of the pelvis

const distance = ([ax, ay], [bx, by]) => Math.hypot(bx - ax, by - ay);

// Centre and radius of the circle through three points, or null.
export function fitCircle([ax, ay], b, c) {
  const [bx, by, cx, cy] = [b[0] - ax, b[1] - ay, c[0] - ax, c[1] - ay];
  const twiceArea = bx * cy - by * cx;
  if (Math.abs(twiceArea) < LEAST_MM ** 2) return null;
  const [b2, c2] = [bx * bx + by * by, cx * cx + cy * cy];
  const [x, y] = [(cy * b2 - by * c2) / (2 * twiceArea), (bx * c2 - cx * b2) / (2 * twiceArea)];
  return { centre: [ax + x, ay + y], radius: Math.hypot(x, y) };
}

function measureCentreEdge(points, side, tilt) {
  const circle = fitCircle(...points.slice(0, 3));
  if (!circle) return null;
  const [x, y] = [points[3][0] - circle.centre[0], points[3][1] - circle.centre[1]];
  if (Math.hypot(x, y) < LEAST_MM) return null;
  const aside = x * Math.cos(tilt) + y * Math.sin(tilt);
  const above = x * Math.sin(tilt) - y * Math.cos(tilt);
  return (Math.atan2(side === "R" ? -aside : aside, above) * 180) / Math.PI;
}

function measureCrowe(kind, [one, other, junction, start, end]) {
  const [x, y] = [other[0] - one[0], other[1] - one[1]];
  if (Math.abs(x) < LEAST_MM) return null;
  const length = Math.sign(x) * Math.hypot(x, y);
  const rise = (low, high) => ((high[0] - low[0]) * y - (high[1] - low[1]) * x) / length;
  const head = kind === "crowe_head" ? distance(start, end) : HEAD_SHARE * Math.abs(rise(start, end));
  return head < LEAST_MM ? null : (100 * rise(one, junction)) / head;
}

// The value in the unit of the kind, or null where the points give no line or no circle. tiltDeg is of the line
// through both heads, positive where the right one is higher, or null.
export function measure(kind, points, side, tiltDeg) {
  if (kind === "ruler") return distance(...points);
  if (kind === "ce_angle") return measureCentreEdge(points, side, ((tiltDeg ?? 0) * Math.PI) / 180);
  return measureCrowe(kind, points);
}

// The Crowe grade of a proportion in percent: I below 50, II to 75, III to 100, IV above.
export const gradeProportion = (percent) => 1 + (percent >= 50) + (percent > 75) + (percent > 100);

// A value in words; to a tenth, as it is recorded.
export function describeValue(kind, value) {
  if (value === null) return "not measurable: move the points";
  const rounded = Math.round(value * 10) / 10;
  if (kind === "ruler") return `${rounded.toFixed(1)} mm`;
  if (kind === "ce_angle") return `CE ${rounded.toFixed(1)}°`;
  return `${rounded.toFixed(1)} % (Crowe ${["I", "II", "III", "IV"][gradeProportion(rounded) - 1]})`;
}
