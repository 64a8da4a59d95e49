// A line chart in SVG: several lines over one x axis, with ticks at round numbers and a cross-hair
// at the pointer.

const SVG = 'http://www.w3.org/2000/svg';
const LEFT = 52, RIGHT = 12, TOP = 10, BOTTOM = 26;
/** More points per line are not visible. */
const POINTS = 1200;

/** Creates an SVG element. */
export function element(name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

/** About `count` round numbers from `low` to `high`. */
export function ticks(low, high, count) {
  const raw = (high - low) / Math.max(count, 1);
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= raw);
  const found = [];
  for (let at = Math.ceil(low / step); at * step <= high * (1 + 1e-9); at += 1) found.push(Number((at * step).toPrecision(12)));
  return found;
}

function thinned(points) {
  if (points.length <= POINTS) return points;
  const every = Math.ceil(points.length / POINTS);
  return points.filter((_, index) => index % every === 0 || index === points.length - 1);
}

export class Chart {
  /** `format` formats a y value; `pointed` is called with the x under the pointer, or null. */
  constructor(place, { label, format, pointed }) {
    this.svg = element('svg', { role: 'img', 'aria-label': label });
    this.label = label;
    this.format = format;
    this.lines = [];
    place.append(this.svg);
    new ResizeObserver(() => this.draw()).observe(place);
    this.place = place;
    this.svg.addEventListener('pointermove', (event) => {
      const { left } = this.svg.getBoundingClientRect();
      const x = this.scale?.back(event.clientX - left);
      pointed(x === undefined || this.lines.length === 0 ? null : x);
    });
    this.svg.addEventListener('pointerleave', () => pointed(null));
  }

  /** Lines are {points: [[x, y]…], kind, dash, name}; kind is a class of the style sheet. */
  set(lines) {
    this.lines = lines.filter((line) => line.points.length > 0);
    this.draw();
  }

  /** Moves the cross-hair to an x. */
  mark(x) {
    this.marked = x;
    this.cross?.setAttribute('visibility', x === null ? 'hidden' : 'visible');
    if (x === null || !this.scale) return;
    const at = this.scale.x(x);
    this.cross.setAttribute('x1', at);
    this.cross.setAttribute('x2', at);
  }

  draw() {
    const width = this.place.clientWidth, height = this.place.clientHeight;
    this.svg.replaceChildren();
    if (width === 0 || height === 0) return;
    this.svg.setAttribute('viewBox', `0 0 ${width} ${height}`);
    const all = this.lines.flatMap((line) => line.points);
    if (all.length === 0) { this.scale = undefined; return; }
    const ys = all.map(([, y]) => y).filter(Number.isFinite);
    const right = Math.max(...all.map(([x]) => x), 1);
    let low = Math.min(...ys), high = Math.max(...ys);
    if (!(high > low)) { low -= 0.5; high += 0.5; }
    const room = (high - low) * 0.05;
    low = low >= 0 ? Math.max(0, low - room) : low - room;
    high += room;
    const inner = width - LEFT - RIGHT, tall = height - TOP - BOTTOM;
    const x = (value) => LEFT + (value / right) * inner;
    const y = (value) => TOP + (1 - (value - low) / (high - low)) * tall;
    this.scale = { x, back: (at) => Math.min(right, Math.max(0, ((at - LEFT) / inner) * right)) };
    for (const value of ticks(low, high, Math.max(3, Math.floor(tall / 42)))) {
      this.svg.append(
        element('line', { class: 'grid', x1: LEFT, x2: width - RIGHT, y1: y(value), y2: y(value) }),
        element('text', { class: 'tick', x: LEFT - 8, y: y(value) + 4, 'text-anchor': 'end' }, this.format(value)),
      );
    }
    for (const value of ticks(0, right, Math.floor(inner / 90))) {
      this.svg.append(element('text', {
        class: 'tick', x: x(value), y: height - 8, 'text-anchor': value === 0 ? 'start' : 'middle',
      }, value.toLocaleString('en')));
    }
    for (const { points, kind, dash, name } of this.lines) {
      const shown = thinned(points).filter(([, value]) => Number.isFinite(value));
      const path = shown.map(([at, value]) => `${x(at).toFixed(1)},${y(value).toFixed(1)}`).join(' ');
      const line = element('polyline', { class: `line ${kind}`, points: path, 'data-job': name, 'data-points': points.length });
      if (dash) line.setAttribute('stroke-dasharray', dash);
      this.svg.append(line);
    }
    this.cross = element('line', { class: 'cross', y1: TOP, y2: height - BOTTOM, visibility: 'hidden' });
    this.svg.append(this.cross);
    this.mark(this.marked ?? null);
  }
}
