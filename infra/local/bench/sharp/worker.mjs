// Answers one JSON line per job on stdin: {"way", "image" (base64), "effort"} with the CPU milliseconds and the files.
import { createInterface } from "node:readline";
import sharp from "sharp";

sharp.cache(false);
sharp.concurrency(1);

const fit = (side) => ({ width: side, height: side, fit: "inside", withoutEnlargement: true });
const tinyPixels = (input) => sharp(input).resize(fit(32)).ensureAlpha().raw().toBuffer();

const ways = {
  // What its documentation leads to: a pipeline for each output, from the file.
  usual: async (file, webp) => {
    const image = await sharp(file).autoOrient().resize(fit(1920)).webp(webp).toBuffer();
    const thumbnail = await sharp(file).autoOrient().resize(fit(320)).webp(webp).toBuffer();
    return { image, thumbnail, tiny: await tinyPixels(thumbnail) };
  },
  // One decode: the scaled pixels are kept, and everything else is made from them.
  oneDecode: async (file, webp) => {
    const pixels = async (from, side) => {
      const { data, info } = await from.resize(fit(side)).raw().toBuffer({ resolveWithObject: true });
      return () => sharp(data, { raw: { width: info.width, height: info.height, channels: info.channels } });
    };
    const large = await pixels(sharp(file).autoOrient(), 1920);
    const small = await pixels(large(), 320);
    const [image, thumbnail] = [await large().webp(webp).toBuffer(), await small().webp(webp).toBuffer()];
    return { image, thumbnail, tiny: await small().resize(fit(32)).ensureAlpha().raw().toBuffer() };
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { way, image, quality, effort } = JSON.parse(line);
  const before = process.cpuUsage();
  const made = await ways[way](Buffer.from(image, "base64"), { quality, effort });
  const spent = process.cpuUsage(before);
  const answer = { ms: (spent.user + spent.system) / 1000, image: made.image.toString("base64") };
  console.log(JSON.stringify({ ...answer, thumbnail: made.thumbnail.length }));
}
