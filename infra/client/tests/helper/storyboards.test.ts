import { beforeAll, expect, test } from "vitest";
import { dataUrl } from "../../src/helper";
import { noise, problem, recorded, storyboard } from "./stack";

let images: string[];

beforeAll(async () => {
  images = await Promise.all([1, 2, 3, 4, 5].map((number) => dataUrl(noise(40 + number, 30))));
});

test("a save heals the images that it carries", async () => {
  const { helper } = recorded();
  const saved = await helper.saveStoryboard(storyboard(images));
  expect(saved.frames.map(({ width }) => width)).toEqual([41, 42, 43, 44, 45]);
  expect(saved.frames.every(({ imageUrl }) => imageUrl.startsWith("http"))).toBe(true);
});

test("more carried images than fit into a request are uploaded before it", async () => {
  const { helper, sent } = recorded();
  const heavy = await Promise.all([1, 2, 3].map(async (number) => dataUrl(noise(900, 900 + number))));
  const saved = await helper.saveStoryboard(storyboard(heavy));
  expect(saved.frames.map(({ height }) => height)).toEqual([901, 902, 903]);
  const uploaded = sent.filter(({ url }) => url.endsWith("upload_image")).map(({ body }) => body);
  expect(new Set(uploaded).size).toBe(2); // a busy stack may have been asked twice
  expect(sent.at(-1)?.url).toMatch(/save_frames$/);
});

test("all pages are read, and a guest is one and the same throughout", async () => {
  const told: string[] = [];
  const { helper, sent } = recorded({ onUserId: (userId) => told.push(userId) });
  const { sessionId, userId } = await helper.saveStoryboard(storyboard(images));
  const found = await helper.readStoryboard(sessionId, { limit: 2 });
  expect(found.frames.map(({ frameNumber }) => frameNumber)).toEqual([1, 2, 3, 4, 5]);
  expect(new Set(sent.map(({ url }) => url).filter((url) => url.includes("get_frames"))).size).toBe(3);
  expect(told).toEqual([userId]);
  const again = recorded({ userId });
  expect((await again.helper.readStoryboard(sessionId)).frames.length).toBe(5);
});

test("a storyboard that changes between two pages is read anew", async () => {
  const writer = recorded();
  const saved = await writer.helper.saveStoryboard(storyboard(images));
  const changed = storyboard([...images].reverse());
  const reader = recorded({ userId: saved.userId }, async ({ url }, times) => {
    if (url.includes("cursor=") && times === 1) await writer.helper.saveStoryboard({ ...changed, sessionId: saved.sessionId });
    return undefined;
  });
  const found = await reader.helper.readStoryboard(saved.sessionId, { limit: 3 });
  expect([found.version, ...found.frames.map(({ width }) => width)]).toEqual([2, 45, 44, 43, 42, 41]);
});

test("saving on top of an older version says which one there is", async () => {
  const { helper } = recorded();
  const { sessionId, frames } = await helper.saveStoryboard(storyboard(images));
  const urls = frames.map(({ imageUrl }) => imageUrl);
  await helper.saveStoryboard({ ...storyboard(urls.slice(1)), sessionId }, { ifVersion: 1 });
  const late = helper.saveStoryboard({ ...storyboard(urls), sessionId }, { ifVersion: 1 });
  await expect(late).rejects.toMatchObject({ code: "version_conflict", problem: { currentVersion: 2 } });
});

test("a save that is repeated makes one session", async () => {
  const { helper, sent } = recorded({}, (_, times) => (times === 1 ? problem(503, "database_unavailable") : undefined));
  await helper.saveStoryboard(storyboard(images));
  const keys = sent.map(({ headers }) => headers.get("idempotency-key"));
  expect([keys.length, new Set(keys).size, keys[0]?.length]).toEqual([2, 1, 32]);
});

test("a signed-in user's token is sent, and no guest's id", async () => {
  const { helper, sent } = recorded({ token: () => "a token", userId: "guest_of_yesterday_000000" }, () =>
    problem(401, "invalid_token"),
  );
  await expect(helper.saveStoryboard(storyboard(images))).rejects.toMatchObject({ code: "invalid_token" });
  expect(sent[0]?.headers.get("authorization")).toBe("Bearer a token");
  expect(JSON.parse(String(sent[0]?.body))).not.toHaveProperty("userId");
});
