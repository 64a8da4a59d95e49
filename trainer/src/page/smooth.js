// Exponential smoothing of a curve.

/** [x, y] points as their exponential moving average; `weight`, from 0 to less than 1, is that of
 *  the past. The start is not drawn to 0 (Kingma and Ba, 2015, section 3). */
export function smoothed(points, weight) {
  if (weight === 0) return points;
  let mean = 0, share = 0;
  return points.map(([x, y]) => {
    if (!Number.isFinite(y)) return [x, y];
    mean = weight * mean + (1 - weight) * y;
    share = weight * share + (1 - weight);
    return [x, mean / share];
  });
}
