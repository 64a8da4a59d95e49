// Measures how well a palette is seen: contrast, and distance between its colours for four kinds of
// colour vision.

const linear = (share) => (share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4);
const rgb = (hex) => [1, 3, 5].map((at) => linear(parseInt(hex.slice(at, at + 2), 16) / 255));
const product = (matrix, [r, g, b]) => [0, 3, 6].map((at) => matrix[at] * r + matrix[at + 1] * g + matrix[at + 2] * b);

/** Machado, Oliveira and Fernandes (2009), severity 1. */
const VISIONS = {
  normal: [1, 0, 0, 0, 1, 0, 0, 0, 1],
  protanopia: [0.152286, 1.052583, -0.204868, 0.114503, 0.786281, 0.099216, -0.003882, -0.048116, 1.051998],
  deuteranopia: [0.367322, 0.860646, -0.227968, 0.280085, 0.672501, 0.047413, -0.01182, 0.04294, 0.968881],
  tritanopia: [1.255528, -0.076749, -0.178779, -0.078411, 0.930809, 0.147602, 0.004733, 0.691367, 0.3039],
};

/** OKLab (Ottosson, 2020). */
function oklab(colour) {
  const [l, m, s] = product([0.4122214708, 0.5363325363, 0.0514459929, 0.2119034982, 0.6806995451, 0.1073969566,
    0.0883024619, 0.2817188376, 0.6299787005], colour).map(Math.cbrt);
  return product([0.2104542553, 0.793617785, -0.0040720468, 1.9779984951, -2.428592205, 0.4505937099,
    0.0259040371, 0.7827717662, -0.808675766], [l, m, s]);
}

/** The contrast of two colours as WCAG defines it. */
export function contrast(one, other) {
  const light = (hex) => product([0.2126, 0.7152, 0.0722, 0, 0, 0, 0, 0, 0], rgb(hex))[0] + 0.05;
  return Math.max(light(one), light(other)) / Math.min(light(one), light(other));
}

/** The smallest distance in OKLab between two of the colours, over all kinds of vision. */
export function nearest(colours) {
  const distances = Object.entries(VISIONS).flatMap(([vision, matrix]) => {
    const seen = colours.map((hex) => oklab(product(matrix, rgb(hex)).map((part) => Math.min(Math.max(part, 0), 1))));
    return seen.flatMap((one, index) => seen.slice(0, index).map((other, at) => ({
      vision, pair: [colours[index], colours[at]], distance: Math.hypot(...one.map((part, k) => part - other[k])),
    })));
  });
  return distances.reduce((least, one) => (one.distance < least.distance ? one : least));
}
