// The probabilities of a digit as bars.

import { at, make } from './dom.js';
import { isLabelled } from './reading.js';
import { percent } from './words.js';

/** Maximum number of bars; with more labels, the most probable are shown. */
const MAX_BARS = 10;

/** Shows the probabilities of a digit; without one, only the labels. */
export function showBars(digit, labels) {
  const probabilities = digit?.probabilities ?? [];
  const all = labels.map((label, index) => ({ label, share: probabilities[index] ?? 0, index }));
  const shown = all.length > MAX_BARS ? all.sort((a, b) => b.share - a.share).slice(0, MAX_BARS) : all;
  const list = at('bars');
  while (list.children.length > shown.length) list.lastChild.remove();
  while (list.children.length < shown.length) list.append(bar());
  shown.forEach(({ label, share, index }, row) => {
    const [name, track, text] = list.children[row].children;
    name.textContent = name.title = label;
    track.firstChild.style.transform = `scaleX(${share})`;
    text.textContent = probabilities.length ? percent(share) : '';
    list.children[row].className = isLabelled(digit) && index === digit.labelIndex ? 'first' : '';
  });
}

function bar() {
  const track = make('span', 'track', {}, make('div', 'fill'));
  return make('li', '', {}, make('span', 'name'), track, make('span', 'share'));
}
