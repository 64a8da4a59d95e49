// The page: lists the jobs, draws the curves of the selected ones, and handles its buttons.

import { call, entries, loadMessages } from './calls.js';
import { Chart, element } from './chart.js';
import { Curves, isOver } from './curves.js';
import { UNAUTHENTICATED } from './grpc-web.js';
import { Serving } from './serving.js';
import { at, facts, loss, made, pairs, percent, promotion, setText, short, state, title, unfinished, when } from './show.js';

/** Milliseconds between two refreshes, and after a failed one. */
const REFRESH = 1500, RETRY = 1000;
const PAGE = 20;
/** Checkpoints that the details of a job show, and data sets to choose from. */
const CHECKPOINTS = 100, DATASETS = 1000;
/** Dash patterns of the jobs whose curves are drawn together. */
const DASHES = ['', '7 4', '2 3', '9 3 2 3'];

const pause = (time) => new Promise((done) => setTimeout(done, time));

let jobs = [];
let pages = 1;
/** Ids of the jobs whose curves are drawn, and of the job whose details are shown. */
let drawn = [];
let opened = null;
let presets = [];
/** The unanswered SubmitJob request: a retry with the same request id is the same job. */
let pending = null;
let soon = () => {};

function notice(text) {
  at('notice').hidden = !text;
  setText(at('notice'), text);
}

function showError(error) {
  if (error.reached === false) notice('The trainer does not answer. Retrying …');
  // The token's input field shows it.
  else if (error.code === UNAUTHENTICATED) notice('');
  else notice(error.message);
}

const curves = new Curves((more) => { draw(); if (more) soon(); }, showError);
const serving = new Serving(act);
const pointed = (x) => { losses.mark(x); accuracies.mark(x); read(x); };
const losses = new Chart(at('loss'), { label: 'Train and validation loss by step', format: (y) => String(y), pointed });
const accuracies = new Chart(at('accuracy'), { label: 'Validation accuracy by step', format: (y) => `${Number((y * 100).toFixed(2))} %`, pointed });

let frame = 0;
function draw() {
  cancelAnimationFrame(frame);
  frame = requestAnimationFrame(() => {
    const line = (kind, of) => drawn.map((id, index) => ({
      points: curves.rows(id).map((row) => [row.step, of(row)]), kind, dash: DASHES[index], name: id,
    }));
    losses.set([...line('train', (row) => row.train_loss), ...line('validation', (row) => row.validation?.loss)]);
    accuracies.set(line('accuracy', (row) => row.validation?.accuracy));
  });
}

/** Shows the rows nearest to a step. */
function read(step) {
  const lines = step === null ? [] : drawn.flatMap((id) => {
    const rows = curves.rows(id);
    if (rows.length === 0) return [];
    const row = rows.reduce((best, row) => (Math.abs(row.step - step) < Math.abs(best.step - step) ? row : best));
    const name = drawn.length > 1 ? `${title(jobs.find((job) => job.job_id === id) ?? {})}: ` : '';
    const validation = row.validation ? `, validation ${loss(row.validation.loss)}, accuracy ${percent(row.validation.accuracy)}` : '';
    return [`${name}step ${row.step.toLocaleString('en')}, epoch ${row.epoch}, train ${loss(row.train_loss)}${validation}`];
  });
  setText(at('reading'), lines.join('   '));
}

/** Runs `action`, after the user confirms `question` if there is one, and shows its error. */
async function act(question, action) {
  if (question && !(await confirmed(question))) return;
  try {
    await action();
    notice('');
  } catch (error) {
    showError(error);
  }
  soon();
}

function confirmed(question) {
  setText(at('question'), question);
  at('ask').showModal();
  return new Promise((answer) => {
    at('yes').onclick = () => { answer(true); at('ask').close(); };
    at('no').onclick = () => at('ask').close();
    at('ask').onclose = () => answer(false);
  });
}

/** A row of the list; it is kept across refreshes so that the focus stays. */
class Row {
  constructor(id) {
    this.id = id;
    this.check = made('input');
    this.check.type = 'checkbox';
    this.check.addEventListener('change', () => compare(id, this.check.checked));
    this.line = element('svg', { class: 'dash', viewBox: '0 0 28 4' });
    this.line.append(element('line', { x1: 0, x2: 28, y1: 2, y2: 2 }));
    this.name = made('button', 'link');
    this.name.type = 'button';
    this.name.addEventListener('click', () => open(id));
    this.about = made('span', 'quiet');
    this.state = made('span', 'state');
    this.bar = made('progress');
    this.loss = made('td', 'figure');
    this.accuracy = made('td', 'figure');
    this.cancel = made('button', '', 'Cancel');
    this.cancel.type = 'button';
    this.cancel.addEventListener('click', () => act(`Cancel ${this.name.textContent}? Its checkpoints stay.`,
      () => call('CancelJob', { job_id: id })));
    this.element = made('tr', '',
      made('td', 'pick', this.check, this.line), made('td', '', this.name, this.about),
      made('td', '', this.state, this.bar), this.loss, this.accuracy, made('td', 'act', this.cancel));
    this.loss.dataset.label = 'Validation loss';
    this.accuracy.dataset.label = 'Accuracy';
  }

  show(job) {
    const latest = job.progress?.latest;
    const name = title(job);
    setText(this.name, name);
    this.check.setAttribute('aria-label', `Draw the curves of ${name}, ${short(job.job_id)}`);
    setText(this.about, `${job.resolved?.preset ?? ''} · ${when(job.created_at).toLocaleTimeString()} · ${short(job.job_id)}`);
    setText(this.state, state(job));
    this.state.dataset.state = state(job);
    this.bar.hidden = isOver(job);
    this.bar.max = Math.max(job.progress?.steps ?? 1, 1);
    this.bar.value = job.progress?.step ?? 0;
    setText(this.loss, latest?.validation ? loss(latest.validation.loss) : '');
    setText(this.accuracy, latest?.validation ? percent(latest.validation.accuracy) : '');
    this.cancel.hidden = isOver(job) || job.cancel_requested;
    this.cancel.setAttribute('aria-label', `Cancel ${name}`);
    const index = drawn.indexOf(job.job_id);
    this.check.checked = index >= 0;
    this.check.disabled = index < 0 && drawn.length >= DASHES.length;
    this.line.style.visibility = index >= 0 ? 'visible' : 'hidden';
    this.line.firstChild.setAttribute('stroke-dasharray', DASHES[index] ?? '');
    this.element.classList.toggle('opened', job.job_id === opened);
    this.name.setAttribute('aria-expanded', String(job.job_id === opened));
  }
}

const rows = new Map();

function list() {
  for (const job of jobs) {
    if (!rows.has(job.job_id)) rows.set(job.job_id, new Row(job.job_id));
    rows.get(job.job_id).show(job);
  }
  const wanted = jobs.map((job) => rows.get(job.job_id).element);
  const present = [...at('list').children];
  if (wanted.length !== present.length || wanted.some((row, index) => row !== present[index])) at('list').replaceChildren(...wanted);
  at('none').hidden = jobs.length > 0;
  const count = (name) => jobs.filter((job) => state(job) === name).length;
  setText(at('counts'), `${count('running')} running, ${count('queued')} waiting`);
}

function compare(id, wanted) {
  drawn = wanted ? [...drawn, id].slice(-DASHES.length) : drawn.filter((other) => other !== id);
  curves.follow(drawn);
  list();
}

function open(id) {
  opened = id;
  at('checkpoints').replaceChildren();
  if (!drawn.includes(id)) drawn = [id];
  curves.follow(drawn);
  list();
  soon();
}

/** Shows the details of the opened job. */
async function detail() {
  const id = opened;
  at('detail').hidden = id === null;
  if (id === null) return;
  const { job } = await call('GetJob', { job_id: id });
  const checkpoints = await entriesOf('ListCheckpoints', 'checkpoints', { job_id: id }, CHECKPOINTS);
  if (id !== opened) return;
  setText(at('detail-title'), title(job));
  at('error').hidden = !job.error;
  setText(at('error'), job.error);
  const changed = promotion(job);
  at('promotion').hidden = changed.length === 0;
  if (changed.join() !== at('promotion').dataset.shown) {
    at('promotion').replaceChildren(...changed.map((line) => made('li', '', line)));
    at('promotion').dataset.shown = changed.join();
  }
  pairs(at('facts'), facts(job));
  if (at('spec').dataset.job !== id) {
    pairs(at('spec'), entries('JobSpec', job.resolved));
    at('spec').dataset.job = id;
  }
  at('no-checkpoints').hidden = checkpoints.length > 0;
  const known = [...at('checkpoints').children].map((item) => item.dataset.key).join();
  const key = (one) => `${one.checkpoint_id} ${serving.role(one.checkpoint_id)} ${one.job_state}`;
  if (known !== checkpoints.map(key).join()) at('checkpoints').replaceChildren(...checkpoints.map((one) => item(one, key(one))));
}

function item(checkpoint, key) {
  const { checkpoint_id: id, lineage, validation, test } = checkpoint;
  const role = serving.role(id);
  const measured = test ?? validation;
  const mark = unfinished(checkpoint);
  const promote = made('button', '', 'Promote');
  promote.type = 'button';
  promote.disabled = role === 'primary' || checkpoint.model !== serving.model;
  promote.setAttribute('aria-label', `Promote the checkpoint of epoch ${lineage?.epoch}`);
  promote.addEventListener('click', () => act(`Promote the checkpoint of epoch ${lineage?.epoch} and pause automatic promotion?`, () => serving.promote(id)));
  const figures = measured ? `${percent(measured.accuracy)}, loss ${loss(measured.loss)}${test ? ' on the test set' : ''}` : '';
  const line = made('li', '', made('span', '', `Epoch ${lineage?.epoch ?? '?'}`), made('span', 'quiet', figures),
    role ? made('span', 'role', role) : null, mark ? made('span', 'quiet mark', mark) : null, promote);
  line.dataset.key = key;
  line.title = id;
  return line;
}

/** The first `limit` entries of a list, which comes in pages. */
async function entriesOf(method, field, request, limit) {
  const found = [];
  for (let token = ''; ;) {
    const answer = await call(method, { ...request, page_size: limit - found.length, page_token: token });
    found.push(...answer[field]);
    token = answer.next_page_token;
    if (!token || found.length >= limit) return found;
  }
}

/** Refreshes everything that changes by itself. */
async function refresh() {
  let token = '';
  const found = [];
  for (let page = 0; page < pages; page += 1) {
    const answer = await call('ListJobs', { page_size: PAGE, page_token: token });
    found.push(...answer.jobs);
    token = answer.next_page_token;
    if (!token) break;
  }
  at('older').hidden = !token;
  jobs = found;
  if (opened === null && jobs.length > 0) open(jobs[0].job_id);
  list();
  serving.setModels(jobs.map((job) => job.resolved?.model).filter(Boolean));
  await serving.refresh();
  await detail();
}

/** Refreshes periodically while the page is visible. */
async function refreshForever() {
  for (;;) {
    let wait = REFRESH;
    if (!document.hidden) {
      try {
        await refresh();
        if (at('notice').textContent.includes('does not answer')) notice('');
      } catch (error) {
        showError(error);
        wait = RETRY;
      }
    }
    await Promise.race([pause(wait), new Promise((done) => { soon = done; })]);
  }
}

function choosePreset() {
  const preset = presets.find((preset) => preset.name === at('preset').value);
  setText(at('about'), preset?.description ?? '');
  at('epochs').placeholder = String(preset?.spec.epochs ?? '');
  at('seed').placeholder = String(preset?.spec.seed ?? '');
}

const field = (id) => (at(id).value.trim() === '' ? undefined : Number(at(id).value));

async function submit() {
  const chosen = {
    preset: at('preset').value, name: at('name').value.trim(), epochs: field('epochs'), seed: field('seed'),
    data: at('dataset').value ? { dataset: at('dataset').value } : undefined,
  };
  const wanted = JSON.stringify(chosen);
  if (pending?.wanted !== wanted) pending = { wanted, id: unique() };
  at('train').disabled = true;
  at('refused').hidden = true;
  try {
    const { job } = await call('SubmitJob', { request_id: pending.id, spec: chosen });
    pending = null;
    open(job.job_id);
  } catch (error) {
    if (error.reached) pending = null;
    setText(at('refused'), error.reached ? error.message : 'The trainer does not answer. Press Train again: the job is submitted only once.');
    at('refused').hidden = false;
  }
  at('train').disabled = false;
}

/** 128 random bits; randomUUID is not there over plain HTTP from another machine. */
function unique() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

async function start() {
  for (;;) {
    try {
      await loadMessages();
      presets = (await call('ListPresets')).presets;
      const datasets = await entriesOf('ListDatasets', 'datasets', {}, DATASETS);
      at('preset').replaceChildren(...presets.map(({ name }) => new Option(name)));
      at('dataset').append(...datasets.filter((one) => !one.superseded).map(({ name }) => new Option(name)));
      break;
    } catch (error) {
      showError(error);
      await pause(RETRY);
    }
  }
  notice('');
  choosePreset();
  at('preset').addEventListener('change', choosePreset);
  at('train').addEventListener('click', submit);
  at('train').disabled = false;
  at('older').addEventListener('click', () => { pages += 1; soon(); });
  refreshForever();
}

start();
