// The slices of a series in memory: fetched in groups, those near the displayed one first, so that scrolling never waits for long.

const GROUP_BYTES = 2 << 20;
const AT_ONCE = 3;
const MOST_IN_GROUP = 16;
const MOST_ATTEMPTS = 8;

export class Slices {
  // `onLoad()`: slices have arrived. `onEnd(text)`: no more can be read, and why.
  // `colour`: pixels are R, G and B of 8 bits, not one int16.
  constructor(base, shape, first, { colour = false, onLoad, onEnd }) {
    const [depth, rows, columns] = shape;
    this.base = base;
    this.depth = depth;
    this.size = rows * columns;
    this.samples = colour ? 3 : 1;
    const bytes = this.size * (colour ? 3 : 2);
    this.data = new Array(depth).fill(null);
    this.loaded = 0;
    this.arrived = 0; // with those that were forgotten since
    this.wanted = first;
    this.onLoad = onLoad;
    this.onEnd = onEnd;
    this.group = Math.max(1, Math.min(MOST_IN_GROUP, Math.floor(GROUP_BYTES / bytes)));
    const budget = ((navigator.deviceMemory ?? 8) < 4 ? 256 : 1024) << 20;
    this.most = Math.max(8, Math.min(depth, Math.floor(budget / bytes)));
    this.pending = new Set();
    this.ended = false;
  }

  // Fetch the wanted slice, and all others once `drawn`, a promise, is fulfilled: what arrives earlier delays the first image.
  async start(drawn) {
    if (this.data[this.wanted] === null) await this.fetchRange(this.wanted, 1);
    await drawn;
    for (let worker = 0; worker < AT_ONCE; worker++) this.work();
  }

  get(z) {
    return this.data[z];
  }

  // Take over slices that were fetched before, by their place.
  adopt(slices) {
    for (const [z, values] of slices) this.data[z] = values;
    this.loaded = this.arrived = slices.size;
    if (this.loaded > this.most) this.forgetFarthest();
    if (this.loaded > 0) this.onLoad();
  }

  // Fetch no more, without a word.
  stop() {
    this.onLoad = this.onEnd = () => {};
    this.ended = true;
  }

  // Tell which slice is displayed: its neighbours are fetched next.
  want(z) {
    this.wanted = z;
    if (this.idle > 0 && this.next() !== null) for (; this.idle > 0; this.idle--) this.work();
  }

  idle = 0;

  next() {
    const reach = Math.floor((this.most - 1) / 2); // on both sides and with the wanted one: no more than are kept
    for (let distance = 0; distance <= Math.max(reach, this.most === this.depth ? this.depth : 0); distance++) {
      for (const z of [this.wanted + distance, this.wanted - distance]) {
        if (z >= 0 && z < this.depth && this.data[z] === null && !this.pending.has(Math.floor(z / this.group))) return Math.floor(z / this.group);
      }
    }
    return null;
  }

  async work() {
    while (!this.ended) {
      const group = this.next();
      if (group === null) break;
      this.pending.add(group);
      const first = group * this.group;
      try {
        await this.fetchRange(first, Math.min(this.group, this.depth - first));
      } finally {
        this.pending.delete(group);
      }
    }
    this.idle++;
  }

  async fetchRange(first, count) {
    for (let attempt = 0; attempt < MOST_ATTEMPTS && !this.ended; attempt++) {
      let reply = null;
      try {
        reply = (await early(first, count)) ?? (await fetch(`${this.base}/slices/${first}/${count}`, { cache: "no-store", redirect: "manual" }));
        if (reply === null) throw new TypeError("the network is gone");
      } catch {
        await pause(1000); // the network is gone for a moment
        continue;
      }
      if (reply.ok) {
        this.keep(first, await reply.arrayBuffer());
        return;
      }
      if (reply.status !== 503) {
        this.end(await reason(reply));
        return;
      }
      await pause(500);
    }
    this.end("The images could not be read. Reload the page to try again.");
  }

  end(text) {
    if (!this.ended) this.onEnd(text);
    this.ended = true;
  }

  keep(first, buffer) {
    const values = this.samples === 3 ? new Uint8Array(buffer) : new Int16Array(buffer), length = this.size * this.samples;
    const count = values.length / length;
    this.arrived += count;
    for (let index = 0; index < count; index++) {
      if (this.data[first + index] === null) this.loaded++;
      this.data[first + index] = values.subarray(index * length, (index + 1) * length);
    }
    if (this.loaded > this.most) this.forgetFarthest();
    this.onLoad();
  }

  forgetFarthest() {
    const kept = [...this.data.keys()].filter((z) => this.data[z] !== null);
    kept.sort((a, b) => Math.abs(b - this.wanted) - Math.abs(a - this.wanted));
    for (const z of kept.slice(0, this.loaded - this.most)) {
      this.data[z] = null;
      this.loaded--;
    }
  }
}

// The answer that early.js has asked for, once; null where it has another slice, or none.
async function early(first, count) {
  const asked = window.viewerEarly;
  if (asked?.slice === undefined || count !== 1) return null;
  const { slice } = asked;
  delete asked.slice;
  const reply = await slice;
  return reply?.ok && reply.headers.get("X-Slice") === `${first}` ? reply : null;
}

// The description of images, when their headers were read: {meta, problem}. `early`: an answer that was asked for before.
export async function describe(base, early = null) {
  for (let reply = early; ; reply = null) {
    reply ??= await get(`${base}/meta`);
    if (reply.status === 200) return { meta: await reply.json(), problem: "" };
    if (reply.status !== 202 && reply.status !== 503) return { meta: null, problem: await reason(reply) };
    await pause(reply.status === 202 ? 0 : 2000);
  }
}

// The answer to a request, also where the network is gone for a moment; `Response.error()` where it stays away.
export async function get(path, headers = {}) {
  for (let attempt = 0; attempt < MOST_ATTEMPTS; attempt++) {
    try {
      return await fetch(path, { cache: "no-store", redirect: "manual", headers });
    } catch {
      await pause(1000);
    }
  }
  return Response.error();
}

export function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

// Why a request was refused, in words.
export async function reason(reply) {
  if (reply.type === "error") return "The node does not answer. Reload the page to try again.";
  if (reply.type === "opaqueredirect" || reply.status === 401) return "Your session has ended. Sign in again to go on.";
  if (reply.status === 404) return "This view is no longer valid. Open it again from the study page.";
  try {
    const answer = await reply.json();
    return answer.reason ?? answer.detail ?? "The images could not be read.";
  } catch {
    return "The images could not be read.";
  }
}
