// The page: lists the jobs, draws the curves of the selected ones, and handles its buttons.

import { Address } from './address.js';
import { call, entriesOf, loadFields, loadMessages } from './calls.js';
import { Colours, SLOTS } from './colours.js';
import { Curves } from './curves.js';
import { Detail } from './detail.js';
import { showDifferences } from './diff.js';
import { Form } from './form.js';
import { NOT_FOUND, UNAUTHENTICATED } from './grpc-web.js';
import { Jobs } from './jobs.js';
import { List } from './list.js';
import { Placement } from './placement.js';
import { Plots } from './plots.js';
import { Serving } from './serving.js';
import { at, confirmed, setText, title } from './show.js';
import { toJson } from './spec.js';
import { Submission } from './submit.js';
import { Sweeps } from './sweeps.js';

/** Milliseconds between two refreshes, and after a failed one. */
const REFRESH = 1500, RETRY = 1000;
/** Data sets to choose from. */
const DATASETS = 1000;

const pause = (time) => new Promise((done) => setTimeout(done, time));

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

const jobs = new Jobs();
const colours = new Colours();
const address = new Address(follow);
const placement = new Placement(show);
const slotOf = (id) => colours.slot(id);
const curves = new Curves((more) => { plots.draw(); differences(); if (more) soon(); }, showError);
const plots = new Plots(curves, address, { slotOf, changed: show, open, remove: (id) => draw(id, false) });
const serving = new Serving(act);
const sweeps = new Sweeps(address, serving, { act, open: reveal });
const list = new List(jobs, address, show, { open, draw, cancel, clone: cloneById });
let fields = [], form, detail;

/** Shows what is known already. */
function show() {
  const { draw, job } = address.view;
  placement.settle(list.has(job));
  list.show({ below: placement.row(job), slotOf, isFull: draw.length >= SLOTS });
  plots.draw();
  differences();
  document.title = `${jobs.get(job) ? `${jobs.get(job).name} · ` : ''}digits trainer`;
}

function differences() {
  showDifferences(fields, address.view.draw.map((id) => ({ job: curves.job(id), slot: slotOf(id) })));
}

/** Follows the view, after it changed what is drawn or opened. */
function follow() {
  const { job, draw } = address.view;
  if (job && !draw.includes(job)) address.set({ draw: draw.length > 1 ? [...draw, job].slice(-SLOTS) : [job] });
  address.view.draw.splice(SLOTS);
  colours.assign(address.view.draw);
  curves.follow(address.view.draw);
  show();
  soon();
}

/** Draws a job, or no longer. */
function draw(id, isWanted) {
  const { draw } = address.view;
  address.set({ draw: isWanted ? [...draw, id].slice(-SLOTS) : draw.filter((other) => other !== id) });
  colours.assign(address.view.draw);
  curves.follow(address.view.draw);
  show();
}

/** Opens a job; below its row, a second press closes it. */
function open(id, row) {
  const isClosed = placement.isInline && address.view.job === id;
  const { draw } = address.view;
  placement.hold(row, () => {
    address.set({ job: isClosed ? '' : id, draw: draw.includes(id) ? draw : [id] });
    follow();
  });
}

/** Opens a job from elsewhere on the page, and scrolls to it. */
function reveal(id) {
  placement.wanted = id;
  open(id);
}

function cancel(id, name = jobs.get(id).name) {
  act(`Cancel ${name}? Its checkpoints stay.`, () => call('CancelJob', { job_id: id }));
}

function cloneById(id) {
  act(null, async () => clone((await call('GetJob', { job_id: id })).job));
}

/** Fills the form with what was requested for a job. */
function clone(job) {
  form.fill(toJson(fields, job.requested ?? job.resolved));
  form.unfoldSet();
  at('new-title').scrollIntoView({ block: 'start' });
  const name = form.inputs.get('name').input;
  name.focus({ preventScroll: true });
  name.select();
  setText(at('spoken'), `The form has the spec of ${title(job)}.`);
}

/** Refreshes everything that changes by itself. */
async function refresh() {
  await jobs.refresh();
  const [newest] = jobs.all;
  if (!address.view.job && newest && !placement.isInline) open(newest.id);
  show();
  serving.setModels(jobs.all.map((job) => job.model).filter(Boolean));
  await serving.refresh();
  await sweeps.refresh();
  const { job } = address.view;
  try {
    await detail.refresh(job);
  } catch (error) {
    if (error.code !== NOT_FOUND && error.violations.length === 0) throw error;
    address.set({ job: '', draw: address.view.draw.filter((id) => id !== job) });
    follow();
    throw error;
  }
  placement.reveal(job);
}

/** Refreshes periodically while the page is visible. */
async function refreshForever() {
  for (;;) {
    let wait = REFRESH;
    if (!document.hidden) {
      try {
        await refresh();
        if (at('notice').textContent.includes('does not answer')) notice('');
        if (!jobs.isComplete) continue;
      } catch (error) {
        showError(error);
        wait = RETRY;
      }
    }
    await Promise.race([pause(wait), new Promise((done) => { soon = done; })]);
  }
}

async function start() {
  for (;;) {
    try {
      await loadMessages();
      fields = await loadFields();
      const { presets } = await call('ListPresets');
      const datasets = await entriesOf('ListDatasets', 'datasets', {}, DATASETS);
      form = new Form(at('submit'), fields, presets, {
        preset: presets.map(({ name }) => name),
        'data.dataset': datasets.filter((one) => !one.superseded).map(({ name }) => name),
      });
      break;
    } catch (error) {
      showError(error);
      await pause(RETRY);
    }
  }
  notice('');
  detail = new Detail(fields, serving, { act, clone, cancel });
  new Submission(form, (job) => reveal(job.job_id));
  follow();
  refreshForever();
}

start();
