// The details of the opened job: its figures, its spec and its checkpoints.

import { call, entriesOf } from './calls.js';
import { isOver } from './curves.js';
import { at, facts, loss, made, pairs, percent, promotion, setText, state, title, unfinished } from './show.js';
import { flat, toJson } from './spec.js';

/** Checkpoints that are shown. */
const CHECKPOINTS = 100;

export class Detail {
  /** `act` runs an action and shows its error; `clone` and `cancel` are called with a job. */
  constructor(fields, serving, { act, clone, cancel }) {
    Object.assign(this, { fields, serving, act, id: '', job: null });
    at('clone').addEventListener('click', () => clone(this.job));
    at('cancel').addEventListener('click', () => cancel(this.id, title(this.job)));
  }

  /** Fetches and shows a job, none for ''. Throws where there is no such job. */
  async refresh(id) {
    if (id !== this.id) at('checkpoints').replaceChildren();
    this.id = id;
    if (!id) { at('detail').hidden = true; at('outcome').hidden = true; return; }
    const { job } = await call('GetJob', { job_id: id });
    const checkpoints = await entriesOf('ListCheckpoints', 'checkpoints', { job_id: id }, CHECKPOINTS);
    if (id !== this.id) return;
    this.job = job;
    at('detail').hidden = false;
    at('outcome').hidden = false;
    this.show(job);
    this.showCheckpoints(checkpoints);
  }

  show(job) {
    setText(at('detail-title'), title(job));
    setText(at('detail-state'), state(job));
    at('detail-state').dataset.state = state(job);
    at('cancel').hidden = isOver(job) || job.cancel_requested;
    at('error').hidden = !job.error;
    setText(at('error'), job.error);
    const changed = promotion(job);
    at('promotion').hidden = changed.length === 0;
    if (changed.join() !== at('promotion').dataset.shown) {
      at('promotion').replaceChildren(...changed.map((line) => made('li', '', line)));
      at('promotion').dataset.shown = changed.join();
    }
    pairs(at('facts'), facts(job));
    if (at('spec').dataset.job === job.job_id) return;
    pairs(at('spec'), [...flat(this.fields, toJson(this.fields, job.resolved))]);
    at('spec').dataset.job = job.job_id;
  }

  showCheckpoints(checkpoints) {
    at('no-checkpoints').hidden = checkpoints.length > 0;
    const known = [...at('checkpoints').children].map((item) => item.dataset.key).join();
    const key = (one) => `${one.checkpoint_id} ${this.serving.role(one.checkpoint_id)} ${one.job_state}`;
    if (known !== checkpoints.map(key).join()) at('checkpoints').replaceChildren(...checkpoints.map((one) => this.item(one, key(one))));
  }

  item(checkpoint, key) {
    const { checkpoint_id: id, lineage, validation, test } = checkpoint;
    const role = this.serving.role(id);
    const measured = test ?? validation;
    const mark = unfinished(checkpoint);
    const promote = made('button', 'small', 'Promote');
    promote.type = 'button';
    promote.disabled = role === 'primary' || checkpoint.model !== this.serving.model;
    promote.setAttribute('aria-label', `Promote the checkpoint of epoch ${lineage?.epoch}`);
    promote.addEventListener('click', () => this.act(
      `Promote the checkpoint of epoch ${lineage?.epoch} and pause automatic promotion?`, () => this.serving.promote(id)));
    const figures = measured ? `${percent(measured.accuracy)}, loss ${loss(measured.loss)}${test ? ' on the test set' : ''}` : '';
    const line = made('li', '', made('span', '', `Epoch ${lineage?.epoch ?? '?'}`), made('span', 'quiet', figures),
      role ? made('span', 'role', role) : null, mark ? made('span', 'quiet mark', mark) : null, promote);
    line.dataset.key = key;
    line.title = id;
    return line;
  }
}
