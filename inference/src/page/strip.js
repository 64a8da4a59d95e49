// The last answers as a strip of thumbnails, the newest first.

import { at, make } from './dom.js';
import { KEPT } from './pictures.js';

/** The entry of each picture. */
const entries = new Map();
const STATES = { waiting: '…', refused: 'refused' };

/** Shows `pictures`; `select` is called with one that is clicked. */
export function showStrip({ list, waiting, leftOut }, selected, select) {
  at('last').hidden = list.length === 0;
  for (const [picture, entry] of entries) {
    if (list.includes(picture)) continue;
    entry.remove();
    entries.delete(picture);
  }
  list.forEach((picture, index) => {
    const entry = entries.get(picture) ?? add(picture, select);
    show(entry, picture, picture === selected);
    if (at('strip').children[index] !== entry) at('strip').insertBefore(entry, at('strip').children[index] ?? null);
  });
  const left = leftOut > 0 ? `Only ${KEPT} pictures are taken at once; the last ${leftOut} were left out.` : '';
  at('tally').textContent = waiting > 0 ? `${waiting} still to be read. ${left}` : left;
}

function add(picture, select) {
  const button = make('button', '', { type: 'button' }, make('span', 'thumb'), make('span', 'caption'));
  button.addEventListener('click', () => select(picture));
  const entry = make('li', '', {}, button);
  entries.set(picture, entry);
  return entry;
}

function show(entry, picture, isSelected) {
  const button = entry.firstChild;
  const [thumb, caption] = button.children;
  const thumbnail = picture.prepared?.thumbnail;
  if (thumbnail && thumb.firstChild !== thumbnail) thumb.replaceChildren(thumbnail);
  // Without a thumbnail, the format has to do.
  if (!thumbnail && picture.state !== 'waiting') thumb.textContent = picture.name.split('.').at(-1).slice(0, 5);
  caption.textContent = STATES[picture.state] ?? (picture.reading.text || '–');
  button.className = picture.state;
  button.setAttribute('aria-current', isSelected);
  const read = picture.reading?.text || 'no digit';
  const words = { waiting: 'being read', refused: 'refused', read }[picture.state];
  button.setAttribute('aria-label', `${picture.name}: ${words}`);
  button.title = picture.name;
}
