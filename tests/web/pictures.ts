// Pictures for tests, so that a grid of them looks like one: PNG landscapes, a WAV tone, a PDF page.
import { crc32, deflateSync } from "node:zlib";

type Colour = [red: number, green: number, blue: number];

const mix = (a: Colour, b: Colour, share: number): Colour => [0, 1, 2].map((i) => a[i]! + (b[i]! - a[i]!) * share) as Colour;

/** Colours of the sky above and below, and of the hills in front. */
const SCENES: [Colour, Colour, Colour][] = [
  [[38, 84, 150], [250, 196, 140], [30, 60, 70]],
  [[120, 180, 230], [235, 244, 250], [60, 120, 80]],
  [[60, 30, 90], [250, 120, 100], [40, 20, 50]],
  [[10, 40, 70], [60, 140, 160], [8, 60, 60]],
  [[245, 205, 160], [255, 240, 220], [170, 110, 70]],
  [[90, 110, 130], [200, 205, 210], [50, 60, 66]],
  [[20, 120, 170], [170, 230, 220], [230, 200, 140]],
  [[150, 60, 60], [245, 190, 90], [80, 30, 40]],
];

/** A landscape: a sky, a sun, three rows of hills. Another `seed` is another one. */
export function landscape(seed: number, width = 480, height = 360): Buffer {
  const [top, bottom, hill] = SCENES[seed % SCENES.length]!;
  const sun = { x: width * (0.2 + ((seed * 37) % 60) / 100), y: height * (0.2 + ((seed * 13) % 25) / 100), r: height * 0.09 };
  const pixels = Buffer.alloc((width * 3 + 1) * height);
  for (let y = 0, at = 0; y < height; y++) {
    pixels[at++] = 0;
    for (let x = 0; x < width; x++) {
      let colour = mix(top, bottom, Math.min(1, (y / height) * 1.4));
      const distance = Math.hypot(x - sun.x, y - sun.y);
      if (distance < sun.r * 3) colour = mix(colour, [255, 246, 220], distance < sun.r ? 0.95 : 0.35 * (1 - (distance - sun.r) / (2 * sun.r)));
      for (let row = 0; row < 3; row++) {
        const wave = Math.sin((x / width) * (4 + row * 2) + seed + row * 2) + 0.5 * Math.sin((x / width) * (11 + row) + seed * 2);
        if (y > height * (0.55 + row * 0.14) - wave * height * 0.07) colour = mix(bottom, hill, 0.45 + row * 0.27);
      }
      for (const channel of colour) pixels[at++] = channel;
    }
  }
  return png(width, height, pixels);
}

function png(width: number, height: number, pixels: Buffer): Buffer {
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width, 0);
  head.writeUInt32BE(height, 4);
  head.set([8, 2, 0, 0, 0], 8);
  const chunk = (type: string, data: Buffer) => {
    const body = Buffer.concat([Buffer.from(type, "latin1"), data]);
    const size = Buffer.alloc(4);
    size.writeUInt32BE(data.length);
    const sum = Buffer.alloc(4);
    sum.writeUInt32BE(crc32(body));
    return Buffer.concat([size, body, sum]);
  };
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  return Buffer.concat([signature, chunk("IHDR", head), chunk("IDAT", deflateSync(pixels, { level: 1 })), chunk("IEND", Buffer.alloc(0))]);
}

/** A second of a tone. */
export function tone(): Buffer {
  const rate = 8_000;
  const data = Buffer.alloc(rate);
  for (let i = 0; i < rate; i++) data[i] = 128 + Math.round(90 * Math.sin((i / rate) * 440 * 2 * Math.PI));
  const head = Buffer.from("RIFF....WAVEfmt ....................data....", "latin1");
  head.writeUInt32LE(36 + rate, 4);
  head.writeUInt32LE(16, 16);
  head.writeUInt16LE(1, 20);
  head.writeUInt16LE(1, 22);
  head.writeUInt32LE(rate, 24);
  head.writeUInt32LE(rate, 28);
  head.writeUInt16LE(1, 32);
  head.writeUInt16LE(8, 34);
  head.writeUInt32LE(rate, 40);
  return Buffer.concat([head, data]);
}

/** One empty page. */
export const pdf = () =>
  Buffer.from("%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj 2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj 3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 300 400]>>endobj\ntrailer<</Root 1 0 R>>\n");
