// Formats figures and messages, and puts them on the page. Makes no calls.

import { word } from './calls.js';

/** Values of NotPromotedReason and JobState. */
const OTHER_DATA = 6, CANCELLED = 5;
export const FAILED = 4;

export const at = (id) => document.getElementById(id);

/** An element with a class and children, which may be text. */
export function made(name, kind, ...children) {
  const element = document.createElement(name);
  if (kind) element.className = kind;
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** Sets the text of an element only if it changes: a selection stays, and screen readers announce it once. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Sets an attribute to 'true' or removes it, which is how ARIA has its states. */
export function mark(element, name, isSet) {
  if (isSet) element.setAttribute(name, 'true');
  else element.removeAttribute(name);
}

export const short = (id) => id.slice(0, 8) + '…' + id.slice(-4);
export const percent = (share) => `${(share * 100).toFixed(share === 1 ? 0 : 2)} %`;
export const loss = (value) => (value === 0 || (value >= 1e-3 && value < 1000) ? value.toFixed(4) : value.toExponential(2));
export const when = (timestamp) => new Date(timestamp.seconds * 1000 + (timestamp.nanos ?? 0) / 1e6);

/** A time as text: of today without the date. */
export function moment(timestamp) {
  const at = when(timestamp);
  const time = at.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit', second: '2-digit' });
  return at.toDateString() === new Date().toDateString() ? time : `${at.toLocaleDateString()}, ${time}`;
}

export function time(seconds) {
  if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
}

/** The display name of a job. */
export const title = (job) => job.resolved?.name || job.requested?.name || job.resolved?.preset || 'job';

/** Seconds that a job has run, or has waited where it has not started. */
export function lasted(job) {
  const begin = job.started_at ?? job.created_at;
  const end = job.finished_at ? when(job.finished_at) : new Date();
  return Math.max(0, (end - when(begin)) / 1000);
}

/** The hidden layers of the network, such as 128-64. */
export function network(job) {
  const hidden = job.resolved?.architecture?.hidden?.widths ?? [];
  return hidden.length === 0 ? 'no hidden layer' : `hidden ${hidden.join('-')}`;
}

/** The facts about a job as [name, value]. */
export function facts(job) {
  const found = [
    ['Id', job.job_id],
    ['Network', `${network(job)}, ${job.network ? job.network.parameters.toLocaleString('en') : '?'} parameters`],
    ['Data set', job.resolved?.data?.dataset ?? ''],
    ['Device', job.device || 'not yet chosen'],
    ['Submitted', when(job.created_at).toLocaleString()],
    [job.finished_at ? 'Took' : job.started_at ? 'Runs for' : 'Waits for', time(lasted(job))],
  ];
  if (job.progress) {
    const { epoch, epochs, step, steps, train_seconds, validation_seconds } = job.progress;
    found.push(['Progress', `epoch ${epoch} of ${epochs}, step ${step.toLocaleString('en')} of ${steps.toLocaleString('en')}`]);
    found.push(['Training', `${time(train_seconds)}, and ${time(validation_seconds)} of validation`]);
  }
  if (job.publishing) {
    const { epoch, reason, until } = job.publishing;
    found.push(['Publishing', `the checkpoint of epoch ${epoch} waits: ${reason}; retrying until ${moment(until)}`]);
  }
  if (job.waiting) found.push(['Waits because', job.waiting.reason]);
  if (job.attempts > 1) found.push(['Attempts', String(job.attempts)]);
  if (job.test) found.push(['Test', `${percent(job.test.accuracy)} of ${job.test.images.toLocaleString('en')}, loss ${job.test.loss.toFixed(6)} (mean over batches ${job.test.loss_batch_mean.toFixed(6)})`]);
  return found;
}

/** What a job changed about what is served, or why it did not, with the commands that change it. */
export function promotion(job) {
  const { promotion: decided, replaced } = job;
  if (!decided) return [];
  const model = job.resolved?.model ?? 'digits';
  const flag = model === 'digits' ? '' : ` --model ${model}`;
  const known = (accuracy) => (accuracy === undefined || accuracy === null ? 'unknown' : percent(accuracy));
  if (decided.sequence > 0) {
    if (!replaced) return [];
    return [
      `The checkpoint ${short(decided.checkpoint_id)} of this job (accuracy ${known(decided.accuracy)}) replaced ${short(replaced.checkpoint_id)} (accuracy ${known(replaced.accuracy)}).`,
      `To serve that one again: digits rollback --to ${replaced.sequence}${flag}`,
    ];
  }
  const lines = [
    `The checkpoint ${short(decided.checkpoint_id)} was not promoted: ${decided.explanation}.`,
    `To serve it, press Promote below, or: digits promote ${decided.checkpoint_id}${flag}`,
  ];
  if (decided.not_promoted === OTHER_DATA) lines.push('To train a model of its own beside it: digits train --model NAME');
  return lines;
}

/** The state of a job that published a checkpoint and did not get to its end, else ''. */
export const unfinished = (checkpoint) => ([FAILED, CANCELLED].includes(checkpoint.job_state) ? `job ${word('JobState', checkpoint.job_state)}` : '');

/** Whether the user confirms a question. */
export function confirmed(question) {
  setText(at('question'), question);
  at('ask').showModal();
  return new Promise((answer) => {
    at('yes').onclick = () => { answer(true); at('ask').close(); };
    at('no').onclick = () => at('ask').close();
    at('ask').onclose = () => answer(false);
  });
}

export function pairs(list, rows) {
  list.replaceChildren(...rows.map(([term, value]) => made('div', '', made('dt', '', term), made('dd', '', value))));
}

export function state(job) {
  if (job.cancel_requested && !job.finished_at) return 'ending';
  return job.publishing ? 'publishing' : word('JobState', job.state);
}
