// The page: connects the drawing, the pictures and what is shown of them.

import { showAnswer } from './answer.js';
import { NOT_NORMALIZED } from './calls.js';
import { Correction } from './correction.js';
import { at, pause } from './dom.js';
import { Drawing } from './drawing.js';
import { drawByKeys } from './keys.js';
import { announce, notice, say, showError } from './messages.js';
import { Paper } from './paper.js';
import { Pictures } from './pictures.js';
import { Served } from './served.js';
import { sources } from './sources.js';
import { showStage } from './stage.js';
import { showStrip } from './strip.js';

const RETRY_MS = 1000;

/** Reads a file of the service, until it responds. */
async function fetched(path) {
  for (;;) {
    try {
      return await (await fetch(path)).json();
    } catch {
      notice('The server does not respond. Retrying …');
      await pause(RETRY_MS);
    }
  }
}

const models = await fetched('/page/models.json');
const limits = await fetched('/page/limits.json');
const served = new Served(() => { drawing.stale(); showPolarity(); });
const paper = new Paper(at('paper'), () => {
  at('undo').disabled = at('clear').disabled = paper.blank;
  at('prompt').hidden = !paper.blank;
  drawing.classify();
});
const drawing = new Drawing(paper, served, changed);
const pictures = new Pictures(served, limits, changed);
const correction = new Correction(served);
/** What is in view: the drawing or a picture. */
let subject = drawing;

/** Shows what is in view. */
function show() {
  showStage(subject, choose);
  correction.show(subject);
  return showAnswer(subject, choose);
}

function select(next) {
  subject = next;
  announce(show());
  showStrip(pictures, subject, select);
}

function choose(index) {
  subject.chosen = index;
  show();
}

/** Shows a subject's new state. */
function changed(one) {
  if (one === subject) {
    const description = show();
    if (one.state !== 'waiting') announce(description);
  }
  if (one !== drawing) showStrip(pictures, subject, select);
}

/** Says which of ink and paper is light in what is sent. */
function showPolarity() {
  const [sent, other] = ['light ink on black', 'dark ink on white'];
  at('sent').textContent = `Sent as ${paper.darkOnWhite ? other : sent}.`;
  at('swap').textContent = `Send ${paper.darkOnWhite ? sent : other}`;
  at('swap').hidden = served.list[0]?.checkpoint.normalization !== NOT_NORMALIZED;
}

function choosePolarity(darkOnWhite) {
  paper.darkOnWhite = darkOnWhite;
  showPolarity();
  drawing.classify();
}

function chooseModel(name) {
  served.choose(name);
  paper.darkOnWhite = false;
  showPolarity();
  drawing.stale();
}

/** Clears the paper; a drawing that was read is kept. */
function clear() {
  const kept = drawing.kept();
  if (kept) pictures.keep(kept);
  paper.clear();
}

/** Called after each successful poll. */
function polled() {
  if (drawing.settled && pictures.settled) notice('');
  drawing.resume();
}

chooseModel(models[0]);
at('models').append(...models.map((name) => new Option(name)));
at('choice').hidden = models.length < 2;
at('models').addEventListener('change', () => {
  chooseModel(at('models').value);
  served.poll().then(polled).catch((error) => showError(error, 'The model could not be read'));
  if (subject !== drawing) pictures.read([subject]);
});
at('undo').addEventListener('click', () => paper.undo());
at('clear').addEventListener('click', () => { clear(); at('paper').focus(); });
at('swap').addEventListener('click', () => choosePolarity(!paper.darkOnWhite));
at('draw').addEventListener('click', () => { select(drawing); at('paper').focus(); });
at('remove').addEventListener('click', () => {
  const place = pictures.list.indexOf(subject);
  pictures.remove(subject);
  select(pictures.list[Math.min(place, pictures.list.length - 1)] ?? drawing);
});
sources((files) => {
  select(pictures.add(files)[0]);
  at('strip').scrollLeft = 0;
});
drawByKeys(paper, at('cursor'), { say, clear });
notice('');
served.watch(polled);
