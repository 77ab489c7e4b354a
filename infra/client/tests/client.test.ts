import assert from "node:assert/strict";
import { test } from "node:test";
import { answer, completedVideo, createVideomakerClient, VideomakerError, type VideomakerOptions } from "../src/index.js";

const problem = {
  success: false, type: "urn:videomaker:problem:session_not_found", title: "Session not found", status: 404,
  detail: "Check it.", code: "session_not_found", requestId: "r",
};

function recording(status = 200, body: unknown = { success: true }, headers: Record<string, string> = {}) {
  const requests: Request[] = [];
  const fetch = async (request: Request) => {
    requests.push(request);
    return new Response(JSON.stringify(body), { status, headers: { "Content-Type": "application/json", ...headers } });
  };
  return { requests, fetch };
}

async function asked(options: VideomakerOptions): Promise<Request> {
  const { requests, fetch } = recording();
  await createVideomakerClient({ ...options, fetch }).GET("/api/get_frames", { params: { query: { sessionId: "a b" } } });
  return requests[0] as Request;
}

test("a guest sends no credentials", async () => {
  const { headers, url } = await asked({ baseUrl: "http://app.example/" });
  assert.equal(url, "http://app.example/api/get_frames?sessionId=a%20b");
  assert.deepEqual([headers.get("Authorization"), headers.get("X-Api-Key")], [null, null]);
});

test("a token is asked for before each request, and a key counts before it", async () => {
  const signedIn = await asked({ baseUrl: "http://a", accessToken: async () => "t1" });
  assert.equal(signedIn.headers.get("Authorization"), "Bearer t1");
  const program = await asked({ baseUrl: "http://a", accessToken: "t", apiKey: "vm_p_s" });
  assert.deepEqual([program.headers.get("Authorization"), program.headers.get("X-Api-Key")], [null, "vm_p_s"]);
});

test("a function's own URL takes the place of the base, with body and headers", async () => {
  const { requests, fetch } = recording();
  const api = createVideomakerClient({ functionUrls: { upload_image: "https://u.on.aws/" }, apiKey: "k", fetch });
  await api.POST("/api/upload_image", { body: { imageData: "x", frameId: 1 } });
  const [sent] = requests as [Request];
  assert.equal(sent.url, "https://u.on.aws/api/upload_image");
  assert.deepEqual([await sent.json(), sent.headers.get("X-Api-Key")], [{ imageData: "x", frameId: 1 }, "k"]);
  await assert.rejects(api.GET("/api/get_frames", { params: { query: { sessionId: "s" } } }), /get_frames/);
});

test("a refusal is thrown with its code, what to do, and when to come back", async () => {
  const { fetch } = recording(404, problem, { "Content-Type": "application/problem+json", "Retry-After": "3" });
  const api = createVideomakerClient({ baseUrl: "http://a", fetch });
  const call = api.GET("/api/get_frames", { params: { query: { sessionId: "s" } } });
  await assert.rejects(answer(call), (error) => {
    assert(error instanceof VideomakerError);
    assert.deepEqual([error.code, error.status, error.retryAfter], ["session_not_found", 404, 3]);
    assert.equal(error.message, "Check it.");
    return true;
  });
});

test("what is no problem is thrown, too", async () => {
  const fetch = async () => new Response("Bad gateway", { status: 502 });
  const call = createVideomakerClient({ baseUrl: "http://a", fetch }).GET("/api/templates");
  await assert.rejects(answer(call), { name: "VideomakerError", status: 502, problem: undefined });
});

test("a video is asked for until it has ended", async () => {
  const states = ["rendering", "merging", "completed"];
  const seen: string[] = [];
  const fetch = async () => Response.json({ success: true, clips: [], video: { status: states.shift(), etaSeconds: 0 } });
  const api = createVideomakerClient({ baseUrl: "http://a", fetch });
  const video = await completedVideo(api, "v", { userId: "u", onProgress: ({ status }) => seen.push(status) });
  assert.deepEqual([video.status, seen], ["completed", ["rendering", "merging", "completed"]]);
  states.push("failed");
  await assert.rejects(completedVideo(api, "v"), /failed/);
  await assert.rejects(completedVideo(api, "v", { signal: AbortSignal.abort() }), { name: "AbortError" });
});

// Only type-checked: what the document does not say is refused.
export async function refusedByTypes() {
  const api = createVideomakerClient();
  // @ts-expect-error sessionId is missing
  await api.GET("/api/get_frames", { params: { query: {} } });
  // @ts-expect-error there is no such motion
  await api.POST("/api/generate_video", { body: { sessionId: "s", motion: "sideways" } });
  // @ts-expect-error there is no such function
  await api.GET("/api/get_frame", {});
  const { error } = await api.GET("/api/get_frames", { params: { query: { sessionId: "s" } } });
  // @ts-expect-error an error of this operation has no such code
  return error?.code === "video_finished";
}
