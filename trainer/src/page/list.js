// The list of jobs: search, filter by state, order, and the rows of what is left.

import { Row } from './row.js';
import { at, made, setText, when } from './show.js';

/** Rows that are shown, and added by one press. */
const ROWS = 50;
const STATES = ['running', 'queued', 'succeeded', 'failed', 'cancelled'];

const by = (value, sign) => (a, b) => {
  const [left, right] = [value(a), value(b)];
  // What has no value comes last in either direction.
  if (left === undefined || right === undefined) return Number(left === undefined) - Number(right === undefined);
  return sign * (typeof left === 'string' ? left.localeCompare(right) : left - right);
};
const created = (job) => when(job.created).getTime();
const ORDERS = {
  newest: null, oldest: by(created, 1),
  name: by((job) => job.name, 1), '-name': by((job) => job.name, -1),
  state: by((job) => STATES.indexOf(job.state), 1), '-state': by((job) => STATES.indexOf(job.state), -1),
  loss: by((job) => job.loss, 1), '-loss': by((job) => job.loss, -1),
  accuracy: by((job) => job.accuracy, -1), '-accuracy': by((job) => job.accuracy, 1),
};
/** The state that a filter names: a job that is ending, or waits for the storage, still runs. */
const RUNS = ['ending', 'publishing'];
const stateOf = (job) => (RUNS.includes(job.state) ? 'running' : job.state);

export class List {
  /** `address` has the view; `changed` is called after it changed; `actions` as those of a Row. */
  constructor(jobs, address, changed, actions) {
    this.jobs = jobs;
    this.address = address;
    this.actions = actions;
    this.rows = new Map();
    this.limit = ROWS;
    const set = (parts) => { this.limit = ROWS; address.set(parts); changed(); };
    at('search').addEventListener('input', () => set({ search: at('search').value }));
    at('sort').addEventListener('change', () => set({ sort: at('sort').value }));
    at('more-jobs').addEventListener('click', () => { this.limit += ROWS; changed(); });
    this.states = ['', ...STATES].map((state) => {
      const count = made('span', 'count');
      const button = made('button', 'chip', state || 'all', ' ', count);
      button.type = 'button';
      button.addEventListener('click', () => set({ state }));
      return { state, button, count };
    });
    at('states').replaceChildren(...this.states.map(({ button }) => button));
    this.headers = [...document.querySelectorAll('th[data-sort]')];
    for (const header of this.headers) {
      const { sort } = header.dataset;
      header.firstElementChild.addEventListener('click', () => set({ sort: address.view.sort === sort ? `-${sort}` : sort }));
    }
  }

  /** Whether the list has a row for a job: it is known and passes the filter. */
  has(id) { return this.jobs.get(id) !== undefined && this.passes()(this.jobs.get(id)); }

  passes() {
    const { search, state } = this.address.view;
    const words = search.toLowerCase().split(/\s+/).filter(Boolean);
    return (job) => (!state || stateOf(job) === state) && words.every((word) => job.text.includes(word));
  }

  /** The jobs that pass the filter, in order. */
  chosen() {
    const { sort } = this.address.view;
    const found = this.jobs.all.filter(this.passes());
    return ORDERS[sort] ? found.sort(ORDERS[sort]) : found;
  }

  /** Shows the list. `below` is the element that goes below the opened row, or null; `slotOf` gives
   *  the slot of a drawn job's colour. */
  show({ below, slotOf, isFull }) {
    const { view } = this.address;
    const chosen = this.chosen();
    const shown = chosen.slice(0, this.limit);
    const opened = chosen.indexOf(this.jobs.get(view.job));
    if (opened >= this.limit) shown.push(chosen[opened]);
    const elements = shown.flatMap((job) => {
      if (!this.rows.has(job.id)) this.rows.set(job.id, new Row(job.id, this.actions));
      const row = this.rows.get(job.id);
      const isOpened = job.id === view.job;
      row.show(job, { slot: slotOf(job.id), isOpened, isInline: below !== null, isFull });
      return isOpened && below ? [row.element, below] : [row.element];
    });
    arrange(at('list'), elements);
    this.showFilter(view);
    this.showCounts(chosen.length, shown.length);
  }

  showFilter({ search, state, sort }) {
    if (document.activeElement !== at('search')) at('search').value = search;
    at('sort').value = sort;
    for (const one of this.states) one.button.setAttribute('aria-pressed', String(one.state === state));
    for (const header of this.headers) {
      const own = header.dataset.sort;
      const isReversed = sort === `-${own}`;
      const rises = (own === 'accuracy') === isReversed;
      if (sort === own || isReversed) header.setAttribute('aria-sort', rises ? 'ascending' : 'descending');
      else header.removeAttribute('aria-sort');
    }
  }

  showCounts(chosen, shown) {
    const counts = this.jobs.counts();
    const number = (state) => (counts.get(state) ?? 0) + (state === 'running' ? RUNS.reduce((sum, one) => sum + (counts.get(one) ?? 0), 0) : 0);
    const total = this.jobs.all.length;
    const { isComplete } = this.jobs;
    for (const { state, count } of this.states) setText(count, isComplete ? String(state ? number(state) : total) : '…');
    const loaded = isComplete ? `${total} ${total === 1 ? 'job' : 'jobs'}` : `${total} jobs so far, loading older ones`;
    setText(at('counts'), isComplete ? `${number('running')} running, ${number('queued')} queued, ${loaded}` : loaded);
    setText(at('shown'), chosen === total && shown === total ? '' : chosen === 0 ? `None of ${loaded} matches.`
      : `${shown} of ${chosen === total ? loaded : `${chosen} that match, of ${loaded}`}`);
    at('none').hidden = total > 0 || !isComplete;
    at('jobs').hidden = total === 0;
    at('more-jobs').hidden = shown >= chosen;
  }
}

/** Makes `wanted` the children of `place`. Moves no more than it must: what is moved loses the focus. */
function arrange(place, wanted) {
  const kept = new Set(wanted);
  for (const child of [...place.children]) if (!kept.has(child)) child.remove();
  wanted.forEach((child, index) => {
    if (place.children[index] !== child) place.insertBefore(child, place.children[index] ?? null);
  });
}
