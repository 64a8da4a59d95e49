// Reports the true label of a digit that was read, once for each answer, and shows the live
// accuracy that follows from such reports.

import { reportOutcome } from './calls.js';
import { at, make } from './dom.js';
import { isLabelled } from './reading.js';
import { percent, reports } from './words.js';

export class Correction {
  /** The digit in view, and the reading that it is of. */
  #digit = null;
  #reading = null;

  constructor(served) {
    this.served = served;
    at('right').addEventListener('click', () => this.#report(this.#digit.labelIndex));
    at('wrong').addEventListener('click', () => this.#unfold(at('truth').hidden));
  }

  /** Shows the buttons for the chosen digit, or what was reported of it. */
  show({ state, reading, chosen }) {
    const digit = state === 'refused' ? null : reading?.digits[chosen];
    if (digit !== this.#digit) this.#unfold(false);
    [this.#digit, this.#reading] = [digit, reading];
    at('correction').hidden = !isLabelled(digit);
    if (isLabelled(digit)) this.#update();
  }

  #update(words = this.#digit.reported) {
    at('right').disabled = at('wrong').disabled = this.#digit.reported !== null;
    if (at('reported').textContent !== (words ?? '')) at('reported').textContent = words ?? '';
  }

  /** Shows the labels to choose the right one from. */
  #unfold(open) {
    at('truth').hidden = !open;
    at('wrong').setAttribute('aria-expanded', open);
    if (!open) return;
    at('truths').replaceChildren(...this.#reading.labels.map((label, index) => {
      const hidden = index === this.#digit.labelIndex;
      const button = make('button', '', { type: 'button', textContent: label, hidden });
      button.addEventListener('click', () => this.#report(index));
      return button;
    }));
  }

  async #report(truth) {
    const [digit, { labels, servedBy }] = [this.#digit, this.#reading];
    const inView = (words) => { if (digit === this.#digit) this.#update(words); };
    this.#unfold(false);
    // The buttons are off from now on: a second call would count twice.
    digit.reported = '';
    inView();
    try {
      await reportOutcome(servedBy, digit.labelIndex, truth);
    } catch (error) {
      digit.reported = null;
      return inView(`It could not be reported: ${error.message}.`);
    }
    digit.reported = truth === digit.labelIndex ? 'Reported as right.' : `Reported as ${labels[truth]}.`;
    await this.served.poll().catch(() => { /* The next poll shows the accuracy. */ });
    const live = this.served.list.find((one) => one.role === servedBy.role)?.live;
    if (live) digit.reported += ` Live accuracy: ${percent(live.accuracy)}, ${reports(live)}.`;
    inView();
  }
}
