// Prepares a file for the service: its size and thumbnail, and a smaller copy where the service
// would refuse it for its size or format and the browser can decode it.

import { make } from './dom.js';
import { megabytes } from './words.js';

/** Formats that the service reads; a file without a type is sent as it is. */
const FORMATS = ['', 'image/png', 'image/jpeg', 'image/webp', 'image/bmp', 'image/x-ms-bmp', 'image/gif'];
/** Longest side of a reduced picture, and of a thumbnail, in pixels. */
const REDUCED = 3000, THUMBNAIL = 128;
/** Bytes of a request besides the picture. */
const OVERHEAD = 1024;

/**
 * The bytes to send, and width, height and thumbnail as the browser shows them, upright by their
 * EXIF orientation as in the service. Width is 0 if the browser cannot show the picture. Throws an
 * Error with a sentence for the user.
 */
export async function prepare(file, limits) {
  const fits = (blob) => blob.size + OVERHEAD <= limits.messageBytes;
  const url = URL.createObjectURL(file);
  try {
    const image = await load(url);
    if (!image && !fits(file)) {
      throw new Error(`The file has ${megabytes(file.size)}, more than this service takes: ${megabytes(limits.messageBytes)}.`);
    }
    if (!image) return { sent: file, width: 0, height: 0, thumbnail: null, note: '' };
    const { naturalWidth: width, naturalHeight: height } = image;
    const thumbnail = draw(image, Math.min(1, THUMBNAIL / Math.max(width, height)));
    const pixels = width * height;
    if (fits(file) && pixels <= limits.picturePixels && (FORMATS.includes(file.type) || !file.type.startsWith('image/'))) {
      return { sent: file, width, height, thumbnail, note: '' };
    }
    const scale = Math.min(1, REDUCED / Math.max(width, height), Math.sqrt(limits.picturePixels / pixels));
    const reduced = await reduce(image, scale, fits);
    const note = reduced.width < width ? `reduced from ${width} × ${height}` : 'converted to JPEG';
    return { ...reduced, thumbnail, note };
  } finally {
    URL.revokeObjectURL(url);
  }
}

/** The decoded picture, or null where the browser cannot decode it. */
async function load(url) {
  const image = new Image();
  image.src = url;
  try {
    await image.decode();
  } catch {
    return null;
  }
  return image.naturalWidth > 0 ? image : null;
}

/** A JPEG at `scale`, or smaller until it fits into a request. */
async function reduce(image, scale, fits) {
  for (;; scale /= 2) {
    const canvas = draw(image, scale);
    const sent = await new Promise((done) => canvas.toBlob(done, 'image/jpeg', 0.92));
    if (fits(sent)) return { sent, width: canvas.width, height: canvas.height };
  }
}

function draw(image, scale) {
  const side = (length) => Math.max(1, Math.floor(length * scale));
  const canvas = make('canvas', '', { width: side(image.naturalWidth), height: side(image.naturalHeight) });
  const context = canvas.getContext('2d', { alpha: false });
  context.imageSmoothingQuality = 'high';
  // As in the service, transparent parts are white.
  context.fillStyle = '#fff';
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  return canvas;
}
