// Classifies the drawing while it changes, one request at a time and always the newest drawing.

import { predict } from './calls.js';
import { pause } from './dom.js';
import { notice, showError } from './messages.js';
import { isLabelled, reading } from './reading.js';

/** Milliseconds between two predictions. */
const PREDICT_MS = 30;
const TIMEOUT_MS = 5000;

export class Drawing {
  name = 'Drawing';
  state = 'waiting';
  waiting = 'Nothing is drawn yet.';
  /** The newest reading, and the index of the digit that is chosen in it. */
  reading = null;
  chosen = 0;
  #busy = false;
  #wanted = false;
  #refused = false;
  /** The picture that the reading is of. */
  #sent = null;

  /** `changed` is called after each answer. */
  constructor(paper, served, changed) {
    Object.assign(this, { paper, served, changed });
  }

  /** Whether the newest drawing was answered. */
  get settled() { return !this.#busy && !this.#wanted && !this.#refused; }

  get blank() { return this.paper.blank ? 'Nothing is drawn yet.' : 'Too little ink to read.'; }

  /** Classifies the drawing with the next poll. */
  stale() { this.#wanted = true; }

  /** Classifies a drawing that waits for the server. */
  resume() { if (this.#wanted) this.classify(); }

  /** The drawing as a file, with its reading; null if nothing was read in it. */
  kept() {
    if (this.paper.blank || !this.reading?.digits.some(isLabelled)) return null;
    return { file: new File([this.#sent], this.name, { type: 'image/png' }), reading: this.reading };
  }

  async classify() {
    this.#wanted = true;
    if (this.#busy) return;
    this.#busy = true;
    while (this.#wanted) {
      this.#wanted = false;
      try {
        await this.#once();
      } catch (error) {
        showError(error, 'The drawing could not be read');
        // The next successful poll classifies again.
        this.#refused = !error.retryable;
        this.#wanted = !this.#refused;
        break;
      }
      await pause(PREDICT_MS);
    }
    this.#busy = false;
  }

  async #once() {
    const { model } = this.served;
    const png = await this.paper.png();
    const response = await predict(model, png, TIMEOUT_MS);
    const checkpoint = await this.served.of(response.servedBy);
    if (model !== this.served.model) return;
    this.#refused = false;
    this.#sent = png;
    this.reading = reading(response, checkpoint);
    this.state = 'read';
    this.chosen = Math.min(this.chosen, Math.max(0, this.reading.digits.length - 1));
    notice('');
    this.changed(this);
  }
}
