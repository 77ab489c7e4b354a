import { expect, test } from "vitest";
import { dataUrl, type Video } from "../../src/helper";
import { noise, recorded, storyboard } from "./stack";

async function started(helper: ReturnType<typeof recorded>["helper"], frames: number) {
  const images = await Promise.all(Array.from({ length: frames }, () => dataUrl(noise(64, 48))));
  const { sessionId, userId } = await helper.saveStoryboard(storyboard(images));
  const body = { sessionId, userId, resolution: 480, fps: 24, motion: "still" };
  return (await helper.calls.call<{ videoId: string }>("POST", "generate_video", { body })).data.videoId;
}

test("a video is waited for until it plays, and its progress only rises", async () => {
  const { helper } = recorded();
  const seen: Video[] = [];
  const video = await helper.waitForVideo(await started(helper, 2), { onProgress: (now) => seen.push(now), interval: 100 });
  expect([video.status, video.durationSeconds]).toEqual(["completed", 2]);
  expect((await fetch(String(video.videoUrl))).headers.get("content-type")).toBe("video/mp4");
  const progress = seen.map((now) => now.progress);
  expect(progress).toEqual([...progress].sort((a, b) => a - b));
});

test("a video that was canceled ends the waiting", async () => {
  const { helper } = recorded();
  const videoId = await started(helper, 12);
  await helper.calls.call("DELETE", "get_video", { query: { videoId, userId: helper.calls.userId } });
  await expect(helper.waitForVideo(videoId, { interval: 100 })).rejects.toMatchObject({ code: "video_canceled" });
});

test("a video that failed says why, and which frame", async () => {
  const error = { code: "frame_unreadable", detail: "Upload it again.", frameNumber: 2 };
  const { helper } = recorded({}, () => new Response(JSON.stringify({ video: { status: "failed", error } })));
  const waiting = helper.waitForVideo("5e6f0b9a-0000-4000-8000-000000000000");
  await expect(waiting).rejects.toMatchObject({ code: "frame_unreadable", problem: { frameNumber: 2 } });
});

test("canceling the wait leaves the video alone", async () => {
  const { helper, sent } = recorded();
  const videoId = await started(helper, 1);
  const canceling = new AbortController();
  const waiting = helper.waitForVideo(videoId, { signal: canceling.signal, onProgress: () => canceling.abort() });
  await expect(waiting).rejects.toThrow();
  expect(sent.filter(({ method }) => method === "DELETE")).toEqual([]);
});
