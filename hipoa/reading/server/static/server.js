// Requests to the server, what it said of the study, and the pixels of images.

export class Refused extends Error {}

export const state = {}; // of /api/state

export async function ask(path, body) {
  const options = body === undefined ? {} : {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-CSRF-Token": state.csrf },
    body: JSON.stringify(body),
  };
  const answer = await fetch(path, options);
  const content = await answer.json();
  if (!answer.ok) throw new Refused(content.error);
  return content;
}

export const loadState = async () => Object.assign(state, await ask("/api/state"));

const fetched = new Map(); // address to pixels, of the hips to come

export async function fetchPixels(address) {
  if (!fetched.has(address)) {
    const waiting = fetch(address).then(async (answer) => {
      if (!answer.ok) throw new Refused((await answer.json()).error);
      return new Uint16Array(await answer.arrayBuffer());
    });
    waiting.catch(() => fetched.delete(address));
    fetched.set(address, waiting);
  }
  return fetched.get(address);
}

const addressOf = (hip, kind) => `/api/images/${encodeURIComponent(hip.hip_id)}/${kind}/${hip.images[kind].sha256}`;

export async function fetchImages(hip) {
  const kinds = Object.keys(hip.images);
  const pixels = await Promise.all(kinds.map((kind) => fetchPixels(addressOf(hip, kind))));
  return Object.fromEntries(kinds.map((kind, i) => [kind, { ...hip.images[kind], pixels: pixels[i] }]));
}

// Forgets the pixels of all hips but these.
export function keepPixels(hips) {
  const wanted = new Set(hips.flatMap((hip) => Object.keys(hip.images).map((kind) => addressOf(hip, kind))));
  for (const address of fetched.keys()) if (!wanted.has(address) && !address.startsWith("/api/references/")) fetched.delete(address);
}
