// The right side: what was read, the network's input, and the probabilities as bars.

import { showBars } from './bars.js';
import { CANARY } from './calls.js';
import { at, make } from './dom.js';
import { Picture } from './pictures.js';
import { isLabelled } from './reading.js';
import { describe } from './words.js';

/** Longest texts in large type and in medium type, in characters. */
const MAX_LARGE = 3, MAX_MEDIUM = 8;

/** Shows what was read; `choose` is called with the index of a digit. Returns a description. */
export function showAnswer(subject, choose) {
  const { state, reading, chosen } = subject;
  const waiting = state === 'waiting' && !reading;
  const refused = state === 'refused';
  const text = (!waiting && !refused && reading?.text) || '–';
  const words = refused ? subject.error : waiting ? subject.waiting : describe(reading, subject.blank);
  at('label').textContent = text;
  at('label').className = text === '–' ? 'none' : size(text, reading.digits);
  at('words').textContent = words;
  at('words').classList.toggle('bad', refused);
  const digits = waiting || refused ? [] : reading.digits;
  showDigits(digits, chosen, choose);
  const digit = digits[chosen];
  // Paper keeps the empty input and the empty bars, so that nothing jumps while one draws.
  const known = !(subject instanceof Picture) || digit?.probabilities.length > 0;
  at('input').hidden = at('bars').hidden = !known;
  showInput(digit?.input ?? [], reading?.input);
  showBars(digit, reading?.labels ?? []);
  const by = !waiting && !refused && reading?.servedBy;
  at('by').textContent = by ? `Answered by version ${by.sequence}${by.role === CANARY ? ', a canary' : ''}.` : '';
  return text === '–' ? words : `${text}. ${words}`;
}

function size(text, digits) {
  const length = Math.max(...text.split('\n').map((line) => line.length));
  if (length <= MAX_LARGE) return '';
  return digits.length > 1 && length <= MAX_MEDIUM ? 'number' : 'long';
}

/** Buttons for the digits of a number: the keyboard's way to their boxes. */
function showDigits(digits, chosen, choose) {
  const list = at('digits');
  const shown = digits.length > 1 && digits.some(isLabelled) ? digits : [];
  list.hidden = shown.length === 0;
  while (list.children.length > shown.length) list.lastChild.remove();
  while (list.children.length < shown.length) {
    const index = list.children.length;
    const button = make('button', '', { type: 'button' });
    button.addEventListener('click', () => choose(index));
    list.append(button);
  }
  shown.forEach((digit, index) => {
    const button = list.children[index];
    button.textContent = isLabelled(digit) ? digit.label : '?';
    button.setAttribute('aria-pressed', index === chosen);
  });
}

function showInput(pixels, size) {
  const canvas = at('seen');
  if (!size || pixels.length !== size.width * size.height) {
    canvas.getContext('2d').clearRect(0, 0, canvas.width, canvas.height);
    return;
  }
  canvas.width = size.width;
  canvas.height = size.height;
  const image = new ImageData(size.width, size.height);
  pixels.forEach((value, index) => image.data.set([value, value, value, 255], index * 4));
  canvas.getContext('2d').putImageData(image, 0, 0);
}
