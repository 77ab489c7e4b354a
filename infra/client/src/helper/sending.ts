/** Sends one request. `fetch` cannot tell how much of a body is sent; a browser's older way can, and is used for that. */

export type Progress = (sent: number, total: number) => void;

export interface Outgoing {
  method: string;
  headers: Record<string, string>;
  body?: string | FormData;
}

/** Like `fetch`, telling of the bytes that are sent where somebody listens and this is a browser. */
export function send(
  url: string,
  outgoing: Outgoing,
  fetcher: typeof fetch,
  signal?: AbortSignal,
  onProgress?: Progress,
): Promise<Response> {
  if (onProgress && typeof XMLHttpRequest !== "undefined") return sendTold(url, outgoing, onProgress, signal);
  return fetcher(url, { ...outgoing, signal: signal ?? null });
}

function sendTold(url: string, outgoing: Outgoing, onProgress: Progress, signal?: AbortSignal): Promise<Response> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const request = new XMLHttpRequest();
    const stop = () => request.abort();
    request.open(outgoing.method, url);
    for (const [name, value] of Object.entries(outgoing.headers)) request.setRequestHeader(name, value);
    request.upload.onprogress = ({ loaded, total }) => onProgress(loaded, total);
    request.onload = () => resolve(new Response(request.responseText || null, told(request)));
    request.onerror = () => reject(new TypeError("The connection was lost."));
    request.onabort = () => reject(signal?.reason);
    request.onloadend = () => signal?.removeEventListener("abort", stop);
    signal?.addEventListener("abort", stop, { once: true });
    request.send(outgoing.body ?? null);
  });
}

function told(request: XMLHttpRequest): ResponseInit {
  const lines = request.getAllResponseHeaders().trim().split(/[\r\n]+/).filter(Boolean);
  const headers = lines.map((line): [string, string] => {
    const colon = line.indexOf(":");
    return [line.slice(0, colon), line.slice(colon + 1).trim()];
  });
  return { status: request.status, statusText: request.statusText, headers };
}
