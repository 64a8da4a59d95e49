// A chart of measurements as dots on one axis, a row for each group, in SVG.

import { element } from './chart.js';
import { plain, ticks } from './scale.js';

const LINE = 22, BOTTOM = 24, RIGHT = 14, RADIUS = 4.5;
/** Groups that are drawn; the table has all. */
const SHOWN = 30;
/** Part of the width that labels take, and the width of a character. */
const LABELS = 0.45, CHARACTER = 6.6;

export class DotChart {
  constructor(place) {
    Object.assign(this, { place, groups: [] });
    this.svg = element('svg', { role: 'img' });
    place.append(this.svg);
    new ResizeObserver(() => this.draw()).observe(place);
  }

  /** Groups are {label, values, isBest}. */
  set(groups) {
    this.place.hidden = groups.length === 0;
    if (JSON.stringify(groups) === JSON.stringify(this.groups)) return;
    this.groups = groups;
    this.draw();
  }

  draw() {
    const groups = this.groups.slice(0, SHOWN), width = this.place.clientWidth;
    this.svg.replaceChildren();
    if (groups.length === 0 || width === 0) return;
    const height = groups.length * LINE + BOTTOM;
    this.svg.setAttribute('viewBox', `0 0 ${width} ${height}`);
    this.svg.style.height = `${height}px`;
    const values = groups.flatMap((group) => group.values);
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const longest = Math.max(...groups.map(({ label }) => label.length));
    const left = Math.min(longest * CHARACTER, width * LABELS) + RADIUS + 8, inner = width - left - RIGHT;
    const x = (value) => left + (high > low ? (value - low) / (high - low) : 0.5) * inner;
    const fits = Math.floor((left - RADIUS - 8) / CHARACTER);
    this.svg.setAttribute('aria-label', `Accuracy of ${this.groups.length} configurations, from ${low.toFixed(2)} to ${high.toFixed(2)} %; the table below has the figures`);
    for (const value of high > low ? ticks(low, high, Math.floor(inner / 70)) : [low]) {
      this.svg.append(
        element('line', { class: 'grid', x1: x(value), x2: x(value), y1: 0, y2: height - BOTTOM }),
        element('text', { class: 'tick', x: x(value), y: height - 8, 'text-anchor': 'middle' }, plain(Number(value.toFixed(3)))),
      );
    }
    groups.forEach(({ label, values: own, isBest }, index) => {
      const y = (index + 0.5) * LINE;
      const text = label.length > fits ? `${label.slice(0, Math.max(fits - 1, 1))}…` : label;
      const shown = element('text', { class: isBest ? 'group best' : 'group', x: 0, y: y + 4 }, text);
      shown.append(element('title', {}, label));
      this.svg.append(shown, element('line', { class: 'grid', x1: left, x2: width - RIGHT, y1: y, y2: y }));
      for (const value of own) {
        const dot = element('circle', { class: isBest ? 'dot best' : 'dot', cx: x(value), cy: y, r: RADIUS });
        dot.append(element('title', {}, `${label}: ${value.toFixed(2)} %`));
        this.svg.append(dot);
      }
    });
  }
}
