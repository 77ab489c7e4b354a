/** The stack that the tests run against, and what they send to it. */

import { deflateSync } from "node:zlib";
import { createHelper, type HelperOptions } from "../../src/helper";

const baseUrl = process.env.VIDEOMAKER_API_URL ?? "http://127.0.0.1:8787";

export interface Sent {
  method: string;
  url: string;
  headers: Headers;
  body: unknown;
}

type Answers = (sent: Sent, times: number) => Response | undefined | Promise<Response | undefined>;

/** A helper whose requests are written down, and answered here instead of by the stack where `answers` has one. */
export function recorded(options: HelperOptions = {}, answers: Answers = () => undefined) {
  const sent: Sent[] = [];
  const recording = async (input: string | URL | Request, init: RequestInit = {}) => {
    const url = String(input);
    const one = { method: init.method ?? "GET", url, headers: new Headers(init.headers), body: init.body };
    sent.push(one);
    return (await answers(one, sent.filter((other) => other.url === url).length)) ?? fetch(input, init);
  };
  const helper = createHelper({ baseUrl, fetch: recording as typeof fetch, backoff: 1, ...options });
  const paths = () => sent.map(({ method, url }) => `${method} ${new URL(url).pathname}`);
  return { helper, sent, paths };
}

/** A problem as the functions answer it. */
export function problem(status: number, code: string, headers: Record<string, string> = {}): Response {
  const body = { success: false, type: `urn:videomaker:problem:${code}`, title: code, status, detail: "Wait.", code };
  return new Response(JSON.stringify(body), { status, headers });
}

/** A PNG of random pixels, which no encoder makes smaller: three bytes a pixel. */
export function noise(width: number, height: number): Blob {
  const rows = Buffer.alloc((width * 3 + 1) * height);
  for (let at = 0; at < rows.length; at += 65_536) crypto.getRandomValues(rows.subarray(at, at + 65_536));
  for (let row = 0; row < height; row++) rows[row * (width * 3 + 1)] = 0;
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 2, 0, 0, 0], 8);
  const signature = Buffer.from("\x89PNG\r\n\x1a\n", "latin1");
  const chunks = [chunk("IHDR", header), chunk("IDAT", deflateSync(rows, { level: 0 })), chunk("IEND", Buffer.alloc(0))];
  return new Blob([Buffer.concat([signature, ...chunks])], { type: "image/png" });
}

function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, "latin1"), data]);
  const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32BE(data.length);
  sum.writeUInt32BE(crc32(body));
  return Buffer.concat([length, body, sum]);
}

function crc32(data: Buffer): number {
  let sum = 0xffffffff;
  for (const byte of data) {
    sum ^= byte;
    for (let bit = 0; bit < 8; bit++) sum = (sum >>> 1) ^ (sum & 1 ? 0xedb88320 : 0);
  }
  return (sum ^ 0xffffffff) >>> 0;
}

/** What a storyboard of these images needs besides them. */
export function storyboard(imageUrls: string[]) {
  return {
    originalPrompt: "A paper boat at dawn",
    videoDuration: imageUrls.length,
    style: "painted",
    mood: "calm",
    frames: imageUrls.map((imageUrl, place) => ({ frameId: place + 1, imageUrl, description: `Scene ${place + 1}` })),
  };
}
