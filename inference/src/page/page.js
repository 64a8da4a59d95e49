// The page: reads the drawing while it changes, one request at a time and always the newest drawing, and watches which
// version serves.

import { Paper } from './paper.js';
import { drawByKeys } from './keys.js';
import { percent, show } from './answer.js';
import { getModel, predict } from './calls.js';
import { NOT_FOUND, RESOURCE_EXHAUSTED, UNAUTHENTICATED, UNAVAILABLE } from './grpc-web.js';

/** Milliseconds: between two readings, between two looks at the model, and after one that failed. */
const READ = 30, LOOK = 2000, RETRY = 1000;
/** Quiet time before an answer is spoken. */
const SPEAK = 800;

const at = (id) => document.getElementById(id);
const pause = (time) => new Promise((done) => setTimeout(done, time));

let model = '';
/** What serves, the primary first; empty before the first checkpoint. */
let served = [];
/** Version that is shown. */
let shown = null;
let reading = false, wanted = false, refused = false;
let speaking;

function say(words) {
  at('spoken').textContent = words;
}

/** Says an answer when none came after it for a while. */
function sayWhenQuiet(words) {
  clearTimeout(speaking);
  speaking = setTimeout(() => say(words), SPEAK);
}

/** Shows a line, or none. A screen reader speaks it when it changes. */
function line(id, words) {
  at(id).hidden = !words;
  if (at(id).textContent !== words) at(id).textContent = words;
}

const notice = (words) => line('notice', words);

/** Of a newer version than the one that serves. */
function refusal({ lastRefusal, served: [primary] }) {
  const serving = primary?.sequence ?? 0;
  if (!lastRefusal || lastRefusal.sequence <= serving) return line('refused', '');
  const reason = lastRefusal.reason.replaceAll('_', ' ');
  const instead = primary ? ` Version ${serving} goes on answering.` : '';
  line('refused', `Version ${lastRefusal.sequence} was refused (${reason}).${instead}`);
}

function trouble(error) {
  if (error.reached === false) notice('The server does not answer. Trying again …');
  // The field for it says so.
  else if (error.code === UNAUTHENTICATED) notice('');
  else if (error.code === RESOURCE_EXHAUSTED) notice('The server is busy. Trying again …');
  else if (error.code === UNAVAILABLE) notice('Waiting for the first checkpoint of this model.');
  else if (error.code === NOT_FOUND) notice('This server does not serve the model any more. Reload the page.');
  else notice(`The drawing could not be read: ${error.message}`);
}

const paper = new Paper(at('paper'), () => {
  at('undo').disabled = at('clear').disabled = paper.blank;
  at('prompt').hidden = !paper.blank;
  read();
});

async function read() {
  wanted = true;
  if (reading) return;
  reading = true;
  while (wanted) {
    wanted = false;
    try {
      await readOnce();
    } catch (error) {
      trouble(error);
      // The next look that succeeds reads again.
      refused = !error.passes;
      wanted = !refused;
      break;
    }
    await pause(READ);
  }
  reading = false;
}

async function readOnce() {
  const asked = model;
  const answer = await predict(asked, await paper.png());
  const by = () => served.find((one) => one.checkpoint.id === answer.servedBy.id);
  // A version that came between two looks.
  if (!by()) await look(asked);
  if (asked !== model) return;
  refused = false;
  notice('');
  sayWhenQuiet(show(answer, by(), paper));
}

/** Asks what serves, and shows it. */
async function look(asked) {
  const answer = await getModel(asked);
  if (asked !== model) return;
  served = answer.served;
  refusal(answer);
  at('model').hidden = served.length === 0;
  if (served.length === 0) return notice('Waiting for the first checkpoint of this model.');
  const { checkpoint, sequence } = served[0];
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

/** Looks again and again; a page that nobody sees asks nothing. */
async function watch() {
  for (;;) {
    let wait = LOOK;
    if (!document.hidden) {
      try {
        await look(model);
        if (served.length > 0) {
          if (!reading && !wanted && !refused) notice('');
          if (wanted) read();
        }
      } catch (error) {
        trouble(error);
        wait = RETRY;
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
      notice('The server does not answer. Trying again …');
      await pause(RETRY);
    }
  }
}

function choose(name) {
  model = name;
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
    look(model).then(() => { if (served.length > 0) read(); }).catch(trouble);
  });
  at('undo').addEventListener('click', () => paper.undo());
  at('clear').addEventListener('click', () => { paper.clear(); at('paper').focus(); });
  drawByKeys(paper, at('cursor'), say);
  notice('');
  watch();
}

start();
