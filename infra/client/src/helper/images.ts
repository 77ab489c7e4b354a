/** Images as the functions take them. */

/** The image as a `data:` URL, which `upload_image` takes, and `save_frames` in the place of an address. */
export async function dataUrl(image: Blob): Promise<string> {
  const bytes = new Uint8Array(await image.arrayBuffer());
  const pieces: string[] = [];
  for (let start = 0; start < bytes.length; start += 0x8000) {
    pieces.push(String.fromCharCode(...bytes.subarray(start, start + 0x8000)));
  }
  return `data:${image.type || "application/octet-stream"};base64,${btoa(pieces.join(""))}`;
}

/** The image of a `data:` URL. */
export function fromDataUrl(url: string): Blob {
  const [head = "", base64 = ""] = url.split(",", 2);
  const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  return new Blob([bytes], { type: head.slice(5).split(";")[0] ?? "" });
}

const SIGNATURES: [string, RegExp][] = [
  ["image/png", /^\x89PNG\r\n\x1a\n/],
  ["image/jpeg", /^\xff\xd8\xff/],
  ["image/gif", /^GIF8/],
  ["image/webp", /^RIFF.{4}WEBP/s],
  ["image/avif", /^.{4}ftypavi[fs]/s],
];

/** The type that the first bytes tell, which a file's name need not; what the file says of itself where they do not. */
export async function typeOf(image: Blob): Promise<string> {
  const head = String.fromCharCode(...new Uint8Array(await image.slice(0, 16).arrayBuffer()));
  return SIGNATURES.find(([, signature]) => signature.test(head))?.[0] ?? image.type;
}
