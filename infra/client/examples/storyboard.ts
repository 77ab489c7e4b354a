/** From images to a video: `npm run example -- 1.png 2.png` (API_URL, ACCESS_TOKEN or API_KEY). Prints the video's URL. */

import { readFile } from "node:fs/promises";
import { answer, completedVideo, createVideomakerClient } from "../src/index.js";

const { API_URL = "http://127.0.0.1:8787", ACCESS_TOKEN, API_KEY } = process.env;
const api = createVideomakerClient({
  baseUrl: API_URL,
  ...(ACCESS_TOKEN && { accessToken: ACCESS_TOKEN }),
  ...(API_KEY && { apiKey: API_KEY }),
});

const images = await Promise.all(process.argv.slice(2).map((path) => readFile(path, "base64")));
const uploads = await Promise.all(
  images.map((imageData, index) => answer(api.POST("/api/upload_image", { body: { imageData, frameId: index + 1 } }))),
);

const { sessionId, userId } = await answer(
  api.POST("/api/save_frames", {
    body: {
      originalPrompt: "The voyage of a paper boat",
      videoDuration: 2 * uploads.length,
      frameCount: uploads.length,
      style: "painted",
      mood: "calm",
      frames: uploads.map(({ frameId, imageUrl }) => ({ frameId, imageUrl, description: `Scene ${frameId}` })),
    },
    params: { header: { "Idempotency-Key": crypto.randomUUID() } },
  }),
);

const { session, frames } = await answer(api.GET("/api/get_frames", { params: { query: { sessionId, userId } } }));
console.error(`${session.originalPrompt}: ${frames.length} frames, version ${session.version}`);

const started = await answer(
  api.POST("/api/generate_video", { body: { sessionId, userId, resolution: 480, fps: 24, transition: "crossfade" } }),
);
if (!("videoId" in started)) throw new Error("That was a dry run.");

const video = await completedVideo(api, started.videoId, {
  userId,
  onProgress: ({ progress, etaSeconds }) => console.error(`${Math.round(100 * progress)} %, ${etaSeconds ?? 0} s left`),
});
console.log(video.videoUrl);
