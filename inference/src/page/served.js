// Polls what the service serves of the chosen model, and shows it in the header.

import { getModel } from './calls.js';
import { at, pause } from './dom.js';
import { notice, say, showError, showRefusal } from './messages.js';
import { age, percent, reports } from './words.js';

/** Milliseconds between two polls, and after a failure. */
const POLL_MS = 2000, RETRY_MS = 1000;

export class Served {
  /** What is served, the primary first; empty before the first checkpoint. */
  list = [];
  model = '';
  /** Sequence that is shown. */
  #shown = null;

  /** `arrived` is called when another version is served. */
  constructor(arrived) {
    this.arrived = arrived;
  }

  choose(model) {
    this.model = model;
    this.list = [];
    this.#shown = null;
  }

  /** The checkpoint that answered; undefined if it is not served any more. */
  async of(servedBy) {
    const find = () => this.list.find((one) => one.checkpoint.id === servedBy.id)?.checkpoint;
    // A version that was swapped in between two polls.
    if (!find()) await this.poll();
    return find();
  }

  /** Polls forever, while the page is visible; calls `polled` if something is served. */
  async watch(polled) {
    for (;;) {
      let wait = POLL_MS;
      if (!document.hidden) {
        try {
          await this.poll();
          if (this.list.length > 0) polled();
        } catch (error) {
          showError(error, 'The model could not be read');
          wait = RETRY_MS;
        }
      }
      await pause(wait);
    }
  }

  async poll() {
    const requested = this.model;
    const answer = await getModel(requested);
    if (requested !== this.model) return;
    this.list = answer.served;
    showRefusal(answer);
    at('model').hidden = this.list.length === 0;
    if (this.list.length === 0) return notice('Waiting for the first checkpoint of this model.');
    const { checkpoint, sequence, live } = this.list[0];
    const measured = checkpoint.test ?? checkpoint.validation;
    at('version').textContent = sequence;
    at('measured').textContent = checkpoint.test ? 'Test accuracy' : 'Validation accuracy';
    at('accuracy').textContent = measured ? percent(measured.accuracy) : 'not measured';
    at('live').hidden = !live;
    if (live) {
      at('live-accuracy').textContent = percent(live.accuracy);
      at('live-accuracy').title = reports(live);
    }
    at('age').textContent = age(Date.now() / 1000 - checkpoint.createdAt.seconds);
    at('age').title = new Date(checkpoint.createdAt.seconds * 1000).toLocaleString();
    if (this.#shown !== sequence) this.#show(sequence);
  }

  #show(sequence) {
    const first = this.#shown === null;
    this.#shown = sequence;
    if (!first) {
      at('version').classList.add('new');
      at('version').addEventListener('animationend', () => at('version').classList.remove('new'), { once: true });
      say(`Version ${sequence} is loaded.`);
    }
    this.arrived();
  }
}
