// Shows a prediction: the label, the network's input, and the probabilities as bars.

import { BLANK, CANARY, LABEL, SEVERAL } from './calls.js';

/** Maximum number of bars; with more labels, the most probable are shown. */
const MAX_BARS = 10;
/** Longest label in large type, in characters. */
const MAX_LARGE = 3;

const at = (id) => document.getElementById(id);
export const percent = (share) => `${(share * 100).toFixed(1)} %`;

/** Shows `prediction` by the checkpoint `served`. Returns its description. */
export function show({ prediction, servedBy }, served, paper) {
  const labels = served?.checkpoint.labels ?? [];
  const description = describe(prediction, paper);
  const found = prediction.verdict === LABEL;
  const label = at('label');
  label.textContent = found ? prediction.label : '–';
  label.className = !found ? 'none' : prediction.label.length > MAX_LARGE ? 'long' : '';
  at('words').textContent = description;
  showInput(prediction.input, served?.checkpoint.input);
  bars(prediction, labels);
  boxes(prediction.boxes, paper.canvas);
  const role = servedBy.role === CANARY ? ', a canary' : '';
  at('by').textContent = `Answered by version ${servedBy.sequence}${role}.`;
  return found ? `${prediction.label}. ${description}` : description;
}

function describe(prediction, paper) {
  switch (prediction.verdict) {
    case LABEL: return `${percent(prediction.probabilities[prediction.labelIndex] ?? 0)} sure`;
    case BLANK: return paper.blank ? 'Nothing is drawn yet.' : 'Too little ink to read.';
    case SEVERAL: return `${prediction.boxes.length} digits, apart from each other. Draw one at a time.`;
    default: return 'No label is probable enough.';
  }
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

function bars(prediction, labels) {
  const { probabilities } = prediction;
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
    list.children[row].className = prediction.verdict === LABEL && index === prediction.labelIndex ? 'first' : '';
  });
}

function bar() {
  const row = document.createElement('li');
  for (const name of ['name', 'track', 'share']) {
    const part = document.createElement('span');
    part.className = name;
    row.append(part);
  }
  const fill = document.createElement('div');
  fill.className = 'fill';
  row.children[1].append(fill);
  return row;
}

function boxes(found, canvas) {
  at('boxes').replaceChildren(...found.map((box) => {
    const frame = document.createElement('div');
    frame.style.left = `${(box.left / canvas.width) * 100}%`;
    frame.style.top = `${(box.top / canvas.height) * 100}%`;
    frame.style.width = `${(box.width / canvas.width) * 100}%`;
    frame.style.height = `${(box.height / canvas.height) * 100}%`;
    return frame;
  }));
}
