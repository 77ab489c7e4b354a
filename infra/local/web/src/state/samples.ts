/** Sample frames, drawn here: a paper boat's day, from dawn until the stars come out. */

const WIDTH = 1280;
const HEIGHT = 720;

interface Scene {
  caption: string;
  sky: [string, string];
  sea: string;
  light: { x: number; y: number; radius: number; colour: string };
  boat: number;
  stars?: boolean;
}

const SCENES: Scene[] = [
  { caption: "Dawn over a quiet sea", sky: ["#2c3a68", "#f3b48b"], sea: "#33507a", light: { x: 0.25, y: 0.6, radius: 46, colour: "#ffe2b8" }, boat: 0.12 },
  { caption: "A paper boat sets out", sky: ["#6fa4d8", "#f7dcc0"], sea: "#3d74a0", light: { x: 0.34, y: 0.42, radius: 52, colour: "#fff3cf" }, boat: 0.28 },
  { caption: "Noon, and a steady wind", sky: ["#4f9be0", "#d6ecfb"], sea: "#2f7fae", light: { x: 0.5, y: 0.2, radius: 58, colour: "#fffbe8" }, boat: 0.44 },
  { caption: "Clouds gather", sky: ["#5b6c86", "#b9c3cf"], sea: "#3a566b", light: { x: 0.64, y: 0.26, radius: 40, colour: "#dfe5ec" }, boat: 0.58 },
  { caption: "The light turns to gold", sky: ["#5a3f74", "#f49a5c"], sea: "#56486e", light: { x: 0.78, y: 0.55, radius: 60, colour: "#ffd28a" }, boat: 0.72 },
  { caption: "Home under the stars", sky: ["#0c1230", "#27356b"], sea: "#141f44", light: { x: 0.86, y: 0.22, radius: 34, colour: "#eef1ff" }, boat: 0.85, stars: true },
];

/** Six drawn frames with their captions. */
export async function drawSamples(): Promise<{ file: File; caption: string }[]> {
  return Promise.all(
    SCENES.map(async (scene, place) => {
      const canvas = document.createElement("canvas");
      canvas.width = WIDTH;
      canvas.height = HEIGHT;
      const context = canvas.getContext("2d");
      if (context) draw(context, scene);
      const blob = await new Promise<Blob>((resolve, reject) =>
        canvas.toBlob((made) => (made ? resolve(made) : reject(new Error("Nothing could be drawn."))), "image/png"),
      );
      return { file: new File([blob], `sample-${place + 1}.png`, { type: "image/png" }), caption: scene.caption };
    }),
  );
}

function draw(context: CanvasRenderingContext2D, scene: Scene): void {
  const horizon = HEIGHT * 0.64;
  const sky = context.createLinearGradient(0, 0, 0, horizon);
  sky.addColorStop(0, scene.sky[0]);
  sky.addColorStop(1, scene.sky[1]);
  context.fillStyle = sky;
  context.fillRect(0, 0, WIDTH, horizon);
  if (scene.stars) drawStars(context, horizon);
  drawLight(context, scene);
  drawSea(context, scene, horizon);
  drawBoat(context, WIDTH * scene.boat, horizon + 58);
}

function drawStars(context: CanvasRenderingContext2D, horizon: number): void {
  context.fillStyle = "#ffffff";
  for (let number = 0; number < 140; number++) {
    const x = (number * 397) % WIDTH;
    const y = (number * 211 + ((number * number) % 97)) % (horizon - 30);
    context.globalAlpha = 0.35 + ((number * 53) % 60) / 100;
    context.fillRect(x, y, 2 + (number % 2), 2 + (number % 2));
  }
  context.globalAlpha = 1;
}

function drawLight(context: CanvasRenderingContext2D, { light }: Scene): void {
  const x = light.x * WIDTH;
  const y = light.y * HEIGHT;
  const halo = context.createRadialGradient(x, y, light.radius * 0.6, x, y, light.radius * 5);
  halo.addColorStop(0, `${light.colour}88`);
  halo.addColorStop(1, `${light.colour}00`);
  context.fillStyle = halo;
  context.fillRect(0, 0, WIDTH, HEIGHT);
  context.fillStyle = light.colour;
  context.beginPath();
  context.arc(x, y, light.radius, 0, Math.PI * 2);
  context.fill();
}

function drawSea(context: CanvasRenderingContext2D, { sea, light }: Scene, horizon: number): void {
  context.fillStyle = sea;
  context.fillRect(0, horizon, WIDTH, HEIGHT - horizon);
  context.strokeStyle = light.colour;
  context.lineWidth = 3;
  for (let row = 0; row < 9; row++) {
    const y = horizon + 14 + row * row * 3 + row * 4;
    context.globalAlpha = 0.34 - row * 0.028;
    context.beginPath();
    for (let x = -20; x <= WIDTH + 20; x += 20) context.lineTo(x, y + Math.sin(x / (26 + row * 7) + row * 2) * (2 + row * 0.8));
    context.stroke();
  }
  context.globalAlpha = 1;
}

function drawBoat(context: CanvasRenderingContext2D, x: number, y: number): void {
  const shape = (colour: string, ...points: [number, number][]) => {
    context.fillStyle = colour;
    context.beginPath();
    for (const [dx, dy] of points) context.lineTo(x + dx * 1.5, y + dy * 1.5);
    context.fill();
  };
  shape("#f8f5ee", [0, -62], [-34, -6], [34, -6]);
  shape("#ddd6c8", [0, -62], [0, -6], [34, -6]);
  shape("#fffdf8", [-70, -14], [70, -14], [44, 24], [-44, 24]);
  shape("#e6dfd1", [0, -6], [70, -14], [44, 24], [0, 24]);
}
