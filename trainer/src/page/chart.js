// A line chart in SVG: several lines over one x axis, with ticks at round numbers and a cross-hair
// that the pointer and the arrow keys move.

import { axis, ticks } from './scale.js';

const SVG = 'http://www.w3.org/2000/svg';
const LEFT = 56, RIGHT = 14, TOP = 12, BOTTOM = 26;
/** More points per line are not visible. */
const POINTS = 1200;
/** Steps of an arrow key from one end of the chart to the other. */
const KEY_STEPS = 40;

/** Creates an SVG element. */
export function element(name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

function thinned(points) {
  if (points.length <= POINTS) return points;
  const every = Math.ceil(points.length / POINTS);
  return points.filter((_, index) => index % every === 0 || index === points.length - 1);
}

let charts = 0;

export class Chart {
  /** `format` formats a y value; `end` is where the y axis ends at the top, if that is fixed;
   *  `pointed` is called with the x of the cross-hair, or null. */
  constructor(place, { label, format, end, pointed }) {
    Object.assign(this, { place, format, end, pointed, lines: [], isLog: false, marked: null });
    this.clip = `inside-${charts += 1}`;
    this.svg = element('svg', { role: 'slider', tabindex: 0, 'aria-label': label, 'aria-valuemin': 0, 'aria-valuemax': 0 });
    place.append(this.svg);
    new ResizeObserver(() => this.draw()).observe(place);
    this.svg.addEventListener('pointermove', (event) => {
      const { left } = this.svg.getBoundingClientRect();
      this.point(this.scale?.back(event.clientX - left));
    });
    this.svg.addEventListener('pointerleave', () => this.point(undefined));
    this.svg.addEventListener('blur', () => this.point(undefined));
    this.svg.addEventListener('keydown', (event) => this.key(event));
  }

  point(x) { this.pointed(x === undefined || this.lines.length === 0 ? null : x); }

  key(event) {
    if (!this.scale) return;
    const { right } = this.scale;
    const from = this.marked ?? right;
    const to = { ArrowLeft: from - right / KEY_STEPS, ArrowRight: from + right / KEY_STEPS, Home: 0, End: right }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    this.point(Math.min(Math.max(to, 0), right));
  }

  /** Lines are {points: [[x, y]…], kind, slot, name, isFaint, ends}; `kind` and `slot` are classes
   *  of the style sheet, `ends` the text of a mark at the last point. */
  set(lines, isLog) {
    this.lines = lines.filter((line) => line.points.length > 0);
    this.isLog = isLog;
    this.draw();
  }

  /** Moves the cross-hair to an x; `text` is what a screen reader reads for it. */
  mark(x, text) {
    this.marked = x;
    this.cross?.setAttribute('visibility', x === null ? 'hidden' : 'visible');
    if (x === null || !this.scale) return;
    const at = this.scale.x(x);
    this.cross.setAttribute('x1', at);
    this.cross.setAttribute('x2', at);
    if (document.activeElement !== this.svg) return;
    this.svg.setAttribute('aria-valuenow', Math.round(x));
    this.svg.setAttribute('aria-valuetext', text);
  }

  draw() {
    const width = this.place.clientWidth, height = this.place.clientHeight;
    this.svg.replaceChildren();
    this.scale = undefined;
    if (width === 0 || height === 0) return;
    this.svg.setAttribute('viewBox', `0 0 ${width} ${height}`);
    const inner = width - LEFT - RIGHT, tall = height - TOP - BOTTOM;
    const found = axis(this.lines.map((line) => line.points), { isLog: this.isLog, end: this.end, tall });
    if (!found) return;
    const right = this.lines.reduce((most, { points }) => Math.max(most, points.at(-1)[0]), 1);
    const x = (value) => LEFT + (value / right) * inner;
    const y = (value) => TOP + (1 - found.at(value)) * tall;
    this.scale = { x, right, back: (at) => Math.min(right, Math.max(0, ((at - LEFT) / inner) * right)) };
    this.svg.setAttribute('aria-valuemax', right);
    this.drawAxes(found, { x, y, width, height, inner, right });
    const clip = element('clipPath', { id: this.clip });
    clip.append(element('rect', { x: LEFT - 2, y: TOP - 2, width: inner + 4, height: tall + 4 }));
    this.svg.append(clip, ...this.lines.map((line) => this.line(line, x, y)), ...this.lines.filter((line) => line.ends).map((line) => this.end_(line, x, y)));
    if (found.isCut) {
      this.svg.append(element('text', { class: 'tick cut', x: width - RIGHT - 14, y: TOP + 4, 'text-anchor': 'end' }, `▲ up to ${this.format(Number(found.most.toPrecision(3)))}`));
    }
    this.cross = element('line', { class: 'cross', y1: TOP, y2: height - BOTTOM, visibility: 'hidden' });
    this.svg.append(this.cross);
    this.mark(this.marked);
  }

  drawAxes({ ticks: values }, { x, y, width, height, inner, right }) {
    for (const value of values) {
      this.svg.append(
        element('line', { class: 'grid', x1: LEFT, x2: width - RIGHT, y1: y(value), y2: y(value) }),
        element('text', { class: 'tick y', x: LEFT - 8, y: y(value) + 4, 'text-anchor': 'end' }, this.format(value)),
      );
    }
    for (const value of ticks(0, right, Math.floor(inner / 90))) {
      const anchor = value === 0 ? 'start' : x(value) > width - RIGHT - 20 ? 'end' : 'middle';
      this.svg.append(element('text', { class: 'tick x', x: x(value), y: height - 8, 'text-anchor': anchor }, value.toLocaleString('en')));
    }
  }

  line({ points, kind, slot, name, isFaint }, x, y) {
    const shown = thinned(points).filter(([, value]) => Number.isFinite(value) && (!this.isLog || value > 0));
    // Far beyond the chart, SVG's numbers would overflow.
    const path = shown.map(([at, value]) => `${x(at).toFixed(1)},${Math.max(y(value), -1e5).toFixed(1)}`).join(' ');
    return element('polyline', {
      class: `${isFaint ? 'faint' : 'line'} ${kind} run-${slot}`, points: path, 'clip-path': `url(#${this.clip})`,
      'data-job': name, 'data-points': points.length,
    });
  }

  /** A cross where a line ends before its time. */
  end_({ points, slot, name, ends }, x, y) {
    const [at, value] = points.at(-1);
    const [left, top] = [x(at), Math.max(y(value), TOP + 5)];
    const mark = element('path', { class: `ended run-${slot}`, d: `M${left - 5},${top - 5}l10,10m0,-10l-10,10`, 'data-job': name });
    mark.append(element('title', {}, ends));
    return mark;
  }
}
