// What is served: the newest record of a model, and the records before it; promoting, rolling back, releasing.

import { call, word } from './calls.js';
import { at, made, say, short, when } from './show.js';

const PRIMARY = 1;
const BY = 'the page';
const RECORDS = 10;

export class Serving {
  /** `act` runs what changes something and tells what went wrong. */
  constructor(act) {
    this.act = act;
    this.model = 'digits';
    this.records = [];
    at('models').addEventListener('change', () => { this.model = at('models').value; this.look(); });
    at('rollback').addEventListener('click', () => act('Serve again what served before, and hold it there?', () => this.rollback()));
    at('release').addEventListener('click', () => act(null, () => this.release()));
  }

  get sequence() { return this.records[0]?.sequence ?? 0; }

  /** The part that a checkpoint has in serving, as a word. */
  role(checkpoint) {
    const route = this.records[0]?.routes.find((route) => route.checkpoint_id === checkpoint);
    return route ? word('ServingRole', route.role) : '';
  }

  /** Models that there is a choice of. */
  know(models) {
    const names = [...new Set([this.model, ...models])].sort();
    if (names.length === at('models').length) return;
    at('models').replaceChildren(...names.map((name) => new Option(name, name, false, name === this.model)));
    at('choice').hidden = names.length < 2;
  }

  async look() {
    const { records } = await call('ListServing', { model: this.model, page_size: RECORDS });
    this.records = records;
    const head = records[0];
    at('release').disabled = !head?.hold;
    const primary = (record) => record.routes.find((route) => route.role === PRIMARY)?.checkpoint_id;
    at('rollback').disabled = !records.some((record) => primary(record) !== primary(head));
    if (!head) { say(at('head'), 'Nothing serves yet.'); at('records').replaceChildren(); return; }
    const held = head.hold ? 'held: newer checkpoints wait for a release' : 'newer checkpoints follow by the policy of their jobs';
    say(at('head'), `Version ${head.sequence}, ${held}.`);
    const lines = records.map((record) => {
      const routes = record.routes.map((route) => {
        const share = route.role !== PRIMARY && route.share > 0 ? ` ${Math.round(route.share * 100)} %` : '';
        return `${route.role === PRIMARY ? '' : `${word('ServingRole', route.role)}${share} `}${short(route.checkpoint_id)}`;
      });
      const line = made('li', '', made('b', '', String(record.sequence)), ` ${routes.join(', ')} `,
        made('span', 'quiet', `${word('ServingReason', record.reason)}${record.hold ? ', held' : ''}, ${when(record.at).toLocaleString()}`));
      line.title = `by ${record.by}`;
      return line;
    });
    at('records').replaceChildren(...lines);
  }

  async promote(checkpoint) {
    await call('Promote', { model: this.model, checkpoint_id: checkpoint, expected_sequence: this.sequence, role: PRIMARY, by: BY });
    await this.look();
  }

  async rollback() {
    await call('Rollback', { model: this.model, expected_sequence: this.sequence, by: BY });
    await this.look();
  }

  async release() {
    await call('Release', { model: this.model, expected_sequence: this.sequence, by: BY });
    await this.look();
  }
}
