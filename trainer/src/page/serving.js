// The serving log of a model: its newest records; promoting, rolling back and releasing.

import { call, word } from './calls.js';
import { at, made, setText, short, when } from './show.js';

const PRIMARY = 1;
const BY = 'the page';
const RECORDS = 10;

export class Serving {
  /** `act` runs an action and shows its error. */
  constructor(act) {
    this.act = act;
    this.model = 'digits';
    this.records = [];
    at('models').addEventListener('change', () => { this.model = at('models').value; this.refresh(); });
    at('rollback').addEventListener('click', () => act('Roll back to the previous checkpoint and pause automatic promotion?', () => this.rollback()));
    at('release').addEventListener('click', () => act(null, () => this.release()));
  }

  get sequence() { return this.records[0]?.sequence ?? 0; }

  /** The serving role of a checkpoint as text. */
  role(checkpoint) {
    const route = this.records[0]?.routes.find((route) => route.checkpoint_id === checkpoint);
    return route ? word('ServingRole', route.role) : '';
  }

  /** Fills the choice of models. */
  setModels(models) {
    const names = [...new Set([this.model, ...models])].sort();
    if (names.length === at('models').length) return;
    at('models').replaceChildren(...names.map((name) => new Option(name, name, false, name === this.model)));
    at('choice').hidden = names.length < 2;
  }

  async refresh() {
    const { records } = await call('ListServing', { model: this.model, page_size: RECORDS });
    this.records = records;
    const head = records[0];
    at('release').disabled = !head?.hold;
    const primary = (record) => record.routes.find((route) => route.role === PRIMARY)?.checkpoint_id;
    at('rollback').disabled = !records.some((record) => primary(record) !== primary(head));
    if (!head) { setText(at('head'), 'No checkpoint is served yet.'); at('records').replaceChildren(); return; }
    const held = head.hold ? 'held: newer checkpoints are not promoted until the hold is released' : 'newer checkpoints are promoted by the policy of their jobs';
    setText(at('head'), `Version ${head.sequence}, ${held}.`);
    const lines = records.map((record) => {
      const routes = record.routes.map((route) => {
        const share = route.role !== PRIMARY && route.share > 0 ? ` ${Math.round(route.share * 100)} %` : '';
        return `${route.role === PRIMARY ? '' : `${word('ServingRole', route.role)}${share} `}${short(route.checkpoint_id)}`;
      });
      const line = made('li', '', made('b', '', String(record.sequence)), ` ${routes.join(', ')} `,
        made('span', 'quiet', `${word('ServingReason', record.reason)}${record.hold ? ', held' : ''}, ${when(record.at).toLocaleString()}`));
      line.title = record.note ? `by ${record.by}: ${record.note}` : `by ${record.by}`;
      return line;
    });
    at('records').replaceChildren(...lines);
  }

  async promote(checkpoint, model = this.model) {
    const { records } = model === this.model ? this : await call('ListServing', { model, page_size: 1 });
    await call('Promote', { model, checkpoint_id: checkpoint, expected_sequence: records[0]?.sequence ?? 0, role: PRIMARY, by: BY });
    await this.refresh();
  }

  async rollback() {
    await call('Rollback', { model: this.model, expected_sequence: this.sequence, by: BY });
    await this.refresh();
  }

  async release() {
    await call('Release', { model: this.model, expected_sequence: this.sequence, by: BY });
    await this.refresh();
  }
}
