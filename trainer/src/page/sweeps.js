// The sweeps: groups of jobs that differ in some fields, each with a chart and a table of its
// results.

import { call, word } from './calls.js';
import { DotChart } from './dots.js';
import { at, loss, made, mark, moment, percent, setText, short } from './show.js';

/** Sweeps to choose from, newest first. */
const SHOWN = 50;
const RUNNING = 1;

/** The last name of a field. */
const last = (field) => field.split('.').at(-1);
/** A configuration as text: `learning_rate 0.1, hidden 64`. */
const settings = (sweep, { values }) => sweep.fields.map((field, index) => `${last(field)} ${values[index]}`).join(', ') || 'one configuration';
const name = (sweep) => sweep.spec?.job?.name || short(sweep.sweep_id);
const state = (sweep) => (sweep.cancel_requested ? 'ending' : word('SweepState', sweep.state));
const mean = (numbers) => numbers.reduce((sum, number) => sum + number, 0) / numbers.length;

export class Sweeps {
  /** `act` runs an action and shows its error; `open` opens a job. */
  constructor(address, serving, { act, open }) {
    Object.assign(this, { address, serving, open, sweep: null, rows: new Map(), heads: '' });
    this.chart = new DotChart(at('sweep-chart'));
    at('sweep').addEventListener('change', () => { address.set({ sweep: at('sweep').value }); act(null, () => this.refresh()); });
    at('sweep-cancel').addEventListener('click', () => act(`Cancel ${name(this.sweep)} and its jobs?`, () => call('CancelSweep', { sweep_id: this.sweep.sweep_id })));
    at('sweep-promote').addEventListener('click', () => {
      const { best, model } = this.sweep;
      act(`Promote the checkpoint of trial ${best.number} and pause automatic promotion?`, () => serving.promote(best.checkpoint_id, model));
    });
  }

  async refresh() {
    const { sweeps } = await call('ListSweeps', { page_size: SHOWN });
    at('sweeps').hidden = sweeps.length === 0;
    if (sweeps.length === 0) return;
    this.choices(sweeps);
    const chosen = sweeps.find(({ sweep_id }) => sweep_id === this.address.view.sweep) ?? sweeps[0];
    at('sweep').value = chosen.sweep_id;
    // One that has ended does not change.
    if (this.sweep?.sweep_id === chosen.sweep_id && this.sweep.state !== RUNNING) return;
    this.sweep = (await call('GetSweep', { sweep_id: chosen.sweep_id })).sweep;
    this.show(this.sweep);
  }

  choices(sweeps) {
    const texts = sweeps.map((sweep) => `${name(sweep)}, ${state(sweep)}, ${moment(sweep.created_at)}`);
    if (texts.join() === [...at('sweep').options].map(({ text }) => text).join()) return;
    at('sweep').replaceChildren(...sweeps.map(({ sweep_id }, index) => new Option(texts[index], sweep_id)));
  }

  show(sweep) {
    const { best } = sweep;
    setText(at('sweep-state'), state(sweep));
    at('sweep-state').dataset.state = state(sweep);
    at('sweep-progress').max = Math.max(sweep.total_trials, 1);
    at('sweep-progress').value = sweep.ended_trials;
    at('sweep-progress').hidden = sweep.state !== RUNNING;
    at('sweep-cancel').hidden = sweep.state !== RUNNING || sweep.cancel_requested;
    at('sweep-promote').disabled = !best;
    const found = best ? `. Best${sweep.state === RUNNING ? ' so far' : ''}: trial ${best.number}, ${settings(sweep, best)}, ${percent(best.validation.accuracy)}` : '';
    setText(at('sweep-about'), `${sweep.ended_trials} of ${sweep.total_trials} trials ended${found}.`);
    this.chart.set(this.groups(sweep));
    this.showTrials(sweep);
  }

  /** The configurations with a result in their newest rung, the best first. */
  groups(sweep) {
    const byNumber = new Map();
    for (const trial of sweep.trials.filter(({ validation }) => validation)) {
      const earlier = byNumber.get(trial.configuration) ?? [];
      byNumber.set(trial.configuration, [...earlier.filter(({ rung }) => rung === trial.rung), trial]);
    }
    const groups = [...byNumber.values()].map((trials) => ({
      label: settings(sweep, trials[0]),
      values: trials.map(({ validation }) => validation.accuracy * 100),
      rung: trials[0].rung,
      isBest: sweep.best?.configuration === trials[0].configuration,
    }));
    return groups.sort((left, right) => right.rung - left.rung || mean(right.values) - mean(left.values));
  }

  showTrials(sweep) {
    const rungs = sweep.rungs.length > 1 ? ['rung'] : [];
    const heads = ['trial', ...sweep.fields.map(last), 'seed', ...rungs, 'epochs', 'loss', 'accuracy', 'state'];
    if (this.heads !== `${sweep.sweep_id} ${heads}`) {
      this.heads = `${sweep.sweep_id} ${heads}`;
      this.rows.clear();
      at('trials').tHead.replaceChildren(made('tr', '', ...heads.map((head) => {
        const cell = made('th', head === 'trial' || head === 'state' ? '' : 'figure', head);
        cell.scope = 'col';
        return cell;
      })));
      at('trials').tBodies[0].replaceChildren();
    }
    for (const trial of sweep.trials) this.row(sweep, trial, rungs.length > 0);
  }

  /** Shows a trial in its row, which is kept so that the focus stays. */
  row(sweep, trial, hasRungs) {
    const { number, validation } = trial;
    if (!this.rows.has(number)) {
      const link = made('button', 'link', String(number));
      link.type = 'button';
      const texts = Array.from({ length: sweep.fields.length + (hasRungs ? 5 : 4) }, () => made('td', 'figure'));
      const shown = made('span', 'state');
      const line = made('tr', '', made('td', '', link), ...texts, made('td', '', shown));
      at('trials').tBodies[0].append(line);
      this.rows.set(number, { line, link, texts, shown });
    }
    const { line, link, texts, shown } = this.rows.get(number);
    link.disabled = !trial.job_id;
    link.onclick = () => this.open(trial.job_id);
    link.setAttribute('aria-label', `Open the job of trial ${number}`);
    const cells = [...trial.values, trial.seed, ...(hasRungs ? [trial.rung] : []), trial.epochs,
      validation ? loss(validation.loss) : '', validation ? percent(validation.accuracy) : ''];
    texts.forEach((cell, index) => setText(cell, String(cells[index])));
    const isBest = sweep.best?.number === number;
    setText(shown, `${word('TrialState', trial.state)}${isBest ? ', best' : ''}`);
    shown.dataset.state = word('TrialState', trial.state);
    line.title = trial.error;
    mark(line, 'data-best', isBest);
  }
}
