// Makes pictures for the tests: digits written with a pen on paper, drawn by the browser.

/** The strokes of a digit as points in a unit square. */
const STROKES = {
  1: [[[0.35, 0.25], [0.55, 0.05], [0.52, 0.95]]],
  2: [[[0.18, 0.25], [0.3, 0.08], [0.55, 0.03], [0.76, 0.16], [0.74, 0.38], [0.5, 0.64], [0.16, 0.95], [0.5, 0.9], [0.84, 0.93]]],
  4: [[[0.58, 0.04], [0.36, 0.34], [0.14, 0.62], [0.46, 0.61], [0.88, 0.58]], [[0.64, 0.34], [0.63, 0.6], [0.6, 0.97]]],
  7: [[[0.14, 0.08], [0.5, 0.07], [0.84, 0.06], [0.66, 0.36], [0.52, 0.66], [0.42, 0.96]]],
};

/**
 * A file for `setInputFiles`: `text` on paper of `width` × `height`, as `type`, with its size. `boxes` has the
 * place of each digit in pixels: { left, top, width, height }.
 */
export async function sketch(browser, text, { width = 480, height = 480, type = 'image/jpeg', name } = {}) {
  const page = await browser.newPage();
  const size = Math.min(height * 0.56, (width * 0.8) / text.length);
  const boxes = [...text].map((_, index) => ({
    left: width / 2 + (index - text.length / 2) * size * 1.1 + size * 0.05, top: (height - size) / 2, width: size, height: size,
  }));
  const strokes = [...text].map((digit) => STROKES[digit]);
  const base64 = await page.evaluate(paint, { width, height, type, boxes, strokes });
  await page.close();
  return { name: name ?? `${text}.${type.split('/')[1]}`, mimeType: type, buffer: Buffer.from(base64, 'base64'), width, height, boxes };
}

/** Runs in the browser. */
async function paint({ width, height, type, boxes, strokes }) {
  const canvas = Object.assign(document.createElement('canvas'), { width, height });
  const context = canvas.getContext('2d', { alpha: false });
  const light = context.createLinearGradient(0, 0, width, height);
  light.addColorStop(0, '#f3efe6');
  light.addColorStop(1, '#c9c3b6');
  context.fillStyle = light;
  context.fillRect(0, 0, width, height);
  context.strokeStyle = '#26305c';
  context.lineCap = context.lineJoin = 'round';
  boxes.forEach((box, index) => {
    context.lineWidth = box.height * 0.09;
    for (const points of strokes[index]) {
      const [first, ...rest] = points.map(([x, y]) => [box.left + x * box.width, box.top + y * box.height]);
      context.beginPath();
      context.moveTo(...first);
      // Smooth through the middles, but sharp where two points are far apart.
      rest.forEach(([x, y], at) => {
        const next = rest[at + 1];
        if (next && points.length > 7) context.quadraticCurveTo(x, y, (x + next[0]) / 2, (y + next[1]) / 2);
        else context.lineTo(x, y);
      });
      context.stroke();
    }
  });
  const blob = await new Promise((done) => canvas.toBlob(done, type, 0.92));
  const bytes = new Uint8Array(await blob.arrayBuffer());
  let binary = '';
  for (const byte of bytes) binary += String.fromCharCode(byte);
  return btoa(binary);
}

/** The JPEG `file` with an EXIF orientation. */
export function turned(file, orientation, name) {
  const [start, rest] = [file.buffer.subarray(0, 2), file.buffer.subarray(2)];
  const exif = Buffer.from('457869660000' + '4d4d002a00000008' + '0001' + '0112000300000001' + '0000' + '0000' + '00000000', 'hex');
  exif.writeUInt16BE(orientation, 6 + 8 + 2 + 8);
  const length = Buffer.alloc(2);
  length.writeUInt16BE(exif.length + 2);
  return { ...file, name, buffer: Buffer.concat([start, Buffer.from('ffe1', 'hex'), length, exif, rest]) };
}
