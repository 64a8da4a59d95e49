// The page: classifies the drawing while it changes, one request at a time and always the newest
// drawing, and polls which version is served.

import { Paper } from './paper.js';
import { drawByKeys } from './keys.js';
import { percent, show } from './answer.js';
import { NOT_NORMALIZED, getModel, predict } from './calls.js';
import { NOT_FOUND, RESOURCE_EXHAUSTED, UNAUTHENTICATED, UNAVAILABLE } from './grpc-web.js';

/** Milliseconds between two predictions, between two polls of the model, and after a failure. */
const PREDICT_MS = 30, POLL_MS = 2000, RETRY_MS = 1000;
/** Milliseconds without a new prediction before one is announced. */
const ANNOUNCE_MS = 800;

const at = (id) => document.getElementById(id);
const pause = (time) => new Promise((done) => setTimeout(done, time));

let model = '';
/** What is served, the primary first; empty before the first checkpoint. */
let served = [];
/** Sequence that is shown. */
let shown = null;
let busy = false, wanted = false, refused = false;
let speaking;

function say(words) {
  at('spoken').textContent = words;
}

/** Announces a prediction unless another one follows soon. */
function announce(words) {
  clearTimeout(speaking);
  speaking = setTimeout(() => say(words), ANNOUNCE_MS);
}

/** Shows a message, or hides it if empty. Screen readers announce changes. */
function message(id, words) {
  at(id).hidden = !words;
  if (at(id).textContent !== words) at(id).textContent = words;
}

const notice = (words) => message('notice', words);

/** Shows the refusal of a version that is newer than the served one. */
function showRefusal({ lastRefusal, served: [primary] }) {
  const serving = primary?.sequence ?? 0;
  if (!lastRefusal || lastRefusal.sequence <= serving) return message('refused', '');
  const reason = lastRefusal.reason.replaceAll('_', ' ');
  const instead = primary ? ` Version ${serving} stays in use.` : '';
  message('refused', `Version ${lastRefusal.sequence} was refused (${reason}).${instead}`);
}

function showError(error) {
  if (error.reached === false) notice('The server does not respond. Retrying …');
  // The field for the token shows it.
  else if (error.code === UNAUTHENTICATED) notice('');
  else if (error.code === RESOURCE_EXHAUSTED) notice('The server is busy. Retrying …');
  else if (error.code === UNAVAILABLE) notice('Waiting for the first checkpoint of this model.');
  else if (error.code === NOT_FOUND) notice('This server does not serve the model any more. Reload the page.');
  else notice(`The drawing could not be read: ${error.message}`);
}

const paper = new Paper(at('paper'), () => {
  at('undo').disabled = at('clear').disabled = paper.blank;
  at('prompt').hidden = !paper.blank;
  classify();
});

async function classify() {
  wanted = true;
  if (busy) return;
  busy = true;
  while (wanted) {
    wanted = false;
    try {
      await classifyOnce();
    } catch (error) {
      showError(error);
      // The next successful poll classifies again.
      refused = !error.retryable;
      wanted = !refused;
      break;
    }
    await pause(PREDICT_MS);
  }
  busy = false;
}

async function classifyOnce() {
  const requested = model;
  const response = await predict(requested, await paper.png());
  const by = () => served.find((one) => one.checkpoint.id === response.servedBy.id);
  // A version that was swapped in between two polls.
  if (!by()) await poll(requested);
  if (requested !== model) return;
  refused = false;
  notice('');
  announce(show(response, by(), paper));
}

/** Says which of ink and paper is light in what is sent. */
function showPolarity() {
  const [sent, other] = ['light ink on black', 'dark ink on white'];
  at('sent').textContent = `Sent as ${paper.darkOnWhite ? other : sent}.`;
  at('swap').textContent = `Send ${paper.darkOnWhite ? sent : other}`;
}

/** Polls what is served, and shows it. */
async function poll(requested) {
  const answer = await getModel(requested);
  if (requested !== model) return;
  served = answer.served;
  showRefusal(answer);
  at('model').hidden = served.length === 0;
  if (served.length === 0) return notice('Waiting for the first checkpoint of this model.');
  const { checkpoint, sequence } = served[0];
  at('swap').hidden = checkpoint.normalization !== NOT_NORMALIZED;
  const measured = checkpoint.test ?? checkpoint.validation;
  at('version').textContent = sequence;
  at('measured').textContent = checkpoint.test ? 'Test accuracy' : 'Validation accuracy';
  at('accuracy').textContent = measured ? percent(measured.accuracy) : 'not measured';
  at('age').textContent = age(Date.now() / 1000 - checkpoint.createdAt.seconds);
  at('age').title = new Date(checkpoint.createdAt.seconds * 1000).toLocaleString();
  if (shown === sequence) return;
  const first = shown === null;
  shown = sequence;
  if (!first) {
    at('version').classList.add('new');
    at('version').addEventListener('animationend', () => at('version').classList.remove('new'), { once: true });
    say(`Version ${sequence} is loaded.`);
  }
  wanted = true;
}

function age(seconds) {
  const units = [[86400, 'd'], [3600, 'h'], [60, 'min'], [1, 's']];
  const [size, unit] = units.find(([size]) => seconds >= size) ?? [1, 's'];
  return `${Math.max(0, Math.floor(seconds / size))} ${unit}`;
}

/** Polls forever, while the page is visible. */
async function watch() {
  for (;;) {
    let wait = POLL_MS;
    if (!document.hidden) {
      try {
        await poll(model);
        if (served.length > 0) {
          if (!busy && !wanted && !refused) notice('');
          if (wanted) classify();
        }
      } catch (error) {
        showError(error);
        wait = RETRY_MS;
      }
    }
    await pause(wait);
  }
}

async function names() {
  for (;;) {
    try {
      return await (await fetch('/page/models.json')).json();
    } catch {
      notice('The server does not respond. Retrying …');
      await pause(RETRY_MS);
    }
  }
}

function choose(name) {
  model = name;
  paper.darkOnWhite = false;
  showPolarity();
  served = [];
  shown = null;
  wanted = true;
}

async function start() {
  const models = await names();
  choose(models[0]);
  at('models').append(...models.map((name) => new Option(name)));
  at('choice').hidden = models.length < 2;
  at('models').addEventListener('change', () => {
    choose(at('models').value);
    poll(model).then(() => { if (served.length > 0) classify(); }).catch(showError);
  });
  at('undo').addEventListener('click', () => paper.undo());
  at('clear').addEventListener('click', () => { paper.clear(); at('paper').focus(); });
  at('swap').addEventListener('click', () => {
    paper.darkOnWhite = !paper.darkOnWhite;
    showPolarity();
    classify();
  });
  drawByKeys(paper, at('cursor'), say);
  notice('');
  watch();
}

start();
