// The y axis of a chart: its range, linear or logarithmic, and round numbers for its ticks.

/** Where a chart ends at the top when a curve goes far beyond where the curves start: multiples of
 *  the highest start. A diverged job would else press the others flat. */
const LINEAR = { far: 3, end: 1.5 }, LOG = { far: 100, end: 10 };

/** A tick as text: powers of ten where the digits would be many. */
export function plain(value) {
  const size = Math.abs(value);
  return size >= 1e5 || (size > 0 && size < 1e-3) ? value.toExponential().replace('e+', 'e') : String(value);
}

/** About `count` round numbers from `low` to `high`. */
export function ticks(low, high, count) {
  const raw = (high - low) / Math.max(count, 1);
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= raw);
  const found = [];
  for (let at = Math.ceil(low / step - 1e-9); at * step <= high * (1 + 1e-9); at += 1) found.push(Number((at * step).toPrecision(12)));
  return found;
}

/** About `count` round numbers from `low` to `high`, both above 0, at equal ratios. */
function logTicks(low, high, count) {
  const [first, last] = [Math.floor(Math.log10(low)), Math.ceil(Math.log10(high))];
  for (const factors of [[1, 2, 3, 4, 5, 6, 7, 8, 9], [1, 2, 5], [1, 3], [1]]) {
    const found = [];
    for (let power = first; power <= last; power += 1) found.push(...factors.map((factor) => Number((factor * 10 ** power).toPrecision(12))));
    const inside = found.filter((value) => value >= low * (1 - 1e-9) && value <= high * (1 + 1e-9));
    if (inside.length <= count + 1) return inside.length > 1 ? inside : ticks(low, high, count);
    if (factors.length === 1) {
      const every = Math.ceil(inside.length / count);
      return inside.filter((_, index) => index % every === 0);
    }
  }
  return [];
}

/** The range of [x, y] curves. `end` is where the axis ends at the top, if that is fixed. */
function range(curves, isLog, end) {
  const ys = curves.flatMap((points) => points.map(([, y]) => y)).filter((y) => Number.isFinite(y) && (!isLog || y > 0));
  if (ys.length === 0) return null;
  const [least, most] = [ys.reduce((low, y) => Math.min(low, y)), ys.reduce((high, y) => Math.max(high, y))];
  const start = Math.max(...curves.map((points) => points.find(([, y]) => Number.isFinite(y))?.[1] ?? 0));
  const { far, end: cut } = isLog ? LOG : LINEAR;
  const isCut = end === undefined && start > 0 && most > far * start;
  const high = end ?? (isCut ? cut * start : most);
  if (isLog) {
    const room = Math.max((high / least) ** 0.04, 1.02);
    return { low: least / room, high: high * room, most, isCut };
  }
  const low = high > least ? least : least - (end === undefined ? 0.5 : 0.05);
  const room = Math.max(high - low, 1e-9) * 0.05;
  return { low: low >= 0 ? Math.max(0, low - room) : low - room, high: end ?? high + room, most, isCut };
}

/** A y axis `tall` pixels high: `at` gives the share of the height for a y, `ticks` its ticks, and
 *  `isCut` whether curves leave it at the top, up to `most`; null without finite points. */
export function axis(curves, { isLog, end, tall }) {
  const found = range(curves, isLog, end);
  if (!found) return null;
  const { low, high } = found;
  const count = Math.max(3, Math.floor(tall / 42));
  const at = isLog ? (y) => Math.log(y / low) / Math.log(high / low) : (y) => (y - low) / (high - low);
  return { ...found, at, ticks: isLog ? logTicks(low, high, count) : ticks(low, high, count) };
}
