import { expect, test } from "vitest";
import { BODY_LIMIT } from "../../src/helper";
import { noise, problem, recorded, storyboard } from "./stack";

const small = noise(64, 48);

test("a small image goes in the body, is stored, and can be fetched", async () => {
  const { helper, paths } = recorded();
  const stored = await helper.uploadImage(small, { frameId: 7 });
  expect([stored.frameId, stored.width, stored.height]).toEqual([7, 64, 48]);
  expect(new Set(paths())).toEqual(new Set(["POST /api/upload_image"]));
  expect((await fetch(stored.imageUrl)).headers.get("content-type")).toMatch(/^image\//);
});

test("images above 4 MiB go by tickets; a new guest's in parallel too, into one storyboard", async () => {
  const { helper, paths } = recorded();
  const large = [noise(1200, 1200), noise(1200, 1201)];
  expect(large.every(({ size }) => size > BODY_LIMIT)).toBe(true);
  const stored = await Promise.all(large.map((image, place) => helper.uploadImage(image, { frameId: place + 1 })));
  expect(paths()).not.toContain("POST /api/upload_image");
  expect(paths()).toContain("POST /videomaker-ingest");
  const saved = await helper.saveStoryboard(storyboard(stored.map(({ imageUrl }) => imageUrl)));
  expect(saved.frames.map(({ height }) => height)).toEqual([1200, 1201]);
});

test("an image that something before the function finds too large goes by a ticket", async () => {
  const { helper, paths } = recorded({}, ({ url }) =>
    url.endsWith("upload_image") ? new Response("{}", { status: 413 }) : undefined,
  );
  expect((await helper.uploadImage(small, { frameId: 1 })).width).toBe(64);
  expect(paths().slice(0, 2)).toEqual(["POST /api/upload_image", "POST /api/create_upload"]);
});

test("what arrives by ticket and is no image is refused with a code", async () => {
  const { helper } = recorded();
  const rubbish = new Blob([new Uint8Array(BODY_LIMIT + 1)], { type: "image/png" });
  await expect(helper.uploadImage(rubbish, { frameId: 1 })).rejects.toMatchObject({ code: "not_an_image" });
});

test("a limit is waited for as long as Retry-After says, and progress ends at 1", async () => {
  const parts: number[] = [];
  const waits: object[] = [];
  const { helper } = recorded({}, (_, times) =>
    times === 1 ? problem(429, "rate_limited", { "retry-after": "1" }) : undefined,
  );
  const options = { frameId: 1, onProgress: (part: number) => parts.push(part), onWait: (wait: object) => waits.push(wait) };
  expect((await helper.uploadImage(small, options)).width).toBe(64);
  expect(waits).toEqual([{ attempt: 1, milliseconds: 1000, status: 429 }]);
  expect(parts.at(-1)).toBe(1);
});

test("a service that stays away is asked five times, with growing pauses, and then the problem is thrown", async () => {
  const waits: number[] = [];
  const { helper, sent } = recorded({ backoff: 8 }, () => problem(503, "storage_unavailable"));
  const uploading = helper.uploadImage(small, { frameId: 1, onWait: ({ milliseconds }) => waits.push(milliseconds) });
  await expect(uploading).rejects.toMatchObject({ name: "ProblemError", status: 503, code: "storage_unavailable" });
  expect(sent.length).toBe(5);
  expect(waits.map((wait, place) => wait >= 4 * 2 ** place && wait <= 8 * 2 ** place)).toEqual([true, true, true, true]);
});

test("a Retry-After of weeks is not waited for", async () => {
  const { helper, sent } = recorded({}, () => problem(429, "rate_limited", { "retry-after": "900000" }));
  await expect(helper.uploadImage(small, { frameId: 1 })).rejects.toMatchObject({ retryAfterSeconds: 900000 });
  expect(sent.length).toBe(1);
});

test("a lost connection is tried again", async () => {
  const { helper, sent } = recorded({}, (_, times) => (times < 3 ? Promise.reject(new TypeError("cut")) : undefined));
  expect((await helper.uploadImage(small, { frameId: 1 })).width).toBe(64);
  expect(sent.length).toBe(3);
});

test("canceling ends a wait at once, and nothing more is sent", async () => {
  const canceling = new AbortController();
  const { helper, sent } = recorded({}, () => problem(503, "storage_unavailable", { "retry-after": "60" }));
  const uploading = helper.uploadOrKeep(small, {
    frameId: 1,
    signal: canceling.signal,
    onWait: () => canceling.abort(new Error("enough")),
  });
  await expect(uploading).rejects.toThrow("enough");
  expect(sent.length).toBe(1);
});

test("an upload that fails leaves the image itself, and a refused one does not", async () => {
  const { helper } = recorded({ attempts: 2 }, () => Promise.reject(new TypeError("offline")));
  const kept = await helper.uploadOrKeep(small, { frameId: 3 });
  expect(kept).toMatchObject({ frameId: 3, failure: new TypeError("offline") });
  expect(kept.imageUrl).toMatch(/^data:image\/png;base64,iVBOR/);
  const rubbish = recorded().helper.uploadOrKeep(new Blob(["no image"]), { frameId: 3 });
  await expect(rubbish).rejects.toMatchObject({ code: "not_an_image", status: 422 });
});

test("each function may have its own URL", async () => {
  const own = { upload_image: "https://up.example/" };
  const baseUrl = (name: string) => own[name as keyof typeof own] ?? "https://app.example";
  const { helper, sent } = recorded({ baseUrl }, () => problem(404, "not_found"));
  await expect(helper.uploadImage(small, { frameId: 1 })).rejects.toMatchObject({ status: 404 });
  await expect(helper.readStoryboard("a b")).rejects.toMatchObject({ status: 404 });
  expect(sent.map(({ url }) => url)).toEqual([
    "https://up.example/api/upload_image",
    "https://app.example/api/get_frames?sessionId=a+b",
  ]);
});
