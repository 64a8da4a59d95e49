// The curves of the drawn jobs: two charts, the switches that change them, and a legend with the
// values at the cross-hair.

import { Chart } from './chart.js';
import { plain } from './scale.js';
import { FAILED, at, loss, made, percent, setText, title } from './show.js';
import { smoothed } from './smooth.js';

const nearest = (rows, step) => rows.reduce((best, row) => (Math.abs(row.step - step) < Math.abs(best.step - step) ? row : best));

export class Plots {
  /** `slotOf` gives the slot of a drawn job's colour; `changed` is called after the view changed. */
  constructor(curves, address, { slotOf, changed, open, remove }) {
    Object.assign(this, { curves, address, slotOf, open, remove, step: null, frame: 0, entries: new Map() });
    const pointed = (step) => { this.step = step; this.read(); };
    this.losses = new Chart(at('loss'), { label: 'Train and validation loss by step', format: plain, pointed });
    this.accuracies = new Chart(at('accuracy'), {
      label: 'Validation accuracy by step', format: (y) => `${Number((y * 100).toFixed(2))} %`, end: 1, pointed,
    });
    const set = (parts) => { address.set(parts); changed(); };
    at('log').addEventListener('change', () => set({ log: at('log').checked }));
    at('smooth').addEventListener('input', () => set({ smooth: Number(at('smooth').value) }));
    for (const kind of ['train', 'validation']) {
      at(`show-${kind}`).addEventListener('change', () => set({ hide: ['train', 'validation'].filter((one) => !at(`show-${one}`).checked) }));
    }
  }

  /** Draws with the next frame. */
  draw() {
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => this.drawNow());
  }

  drawNow() {
    const { draw, log, smooth, hide } = this.address.view;
    at('log').checked = log;
    at('smooth').value = smooth;
    setText(at('smooth-value'), smooth === 0 ? 'none' : smooth.toFixed(2));
    for (const kind of ['train', 'validation']) at(`show-${kind}`).checked = !hide.includes(kind);
    const lines = (kind, of) => (hide.includes(kind) ? [] : draw.flatMap((id) => {
      const points = this.curves.rows(id).map((row) => [row.step, of(row)]).filter(([, y]) => y !== undefined);
      const line = { points, kind, slot: this.slotOf(id), name: id, ends: this.end(id, kind) };
      if (smooth === 0) return [line];
      return [{ ...line, isFaint: true, ends: undefined }, { ...line, points: smoothed(points, smooth) }];
    }));
    this.losses.set([...lines('train', (row) => row.train_loss), ...lines('validation', (row) => row.validation?.loss)], log);
    this.accuracies.set(lines('accuracy', (row) => row.validation?.accuracy), false);
    this.showLegend(draw);
    this.read();
  }

  /** Text for the end of a job that failed. */
  end(id, kind) {
    const job = this.curves.job(id);
    return job?.state === FAILED && kind !== 'train' ? `${title(job)} failed here` : undefined;
  }

  showLegend(draw) {
    for (const id of this.entries.keys()) if (!draw.includes(id)) this.entries.delete(id);
    for (const id of draw) {
      if (!this.entries.has(id)) this.entries.set(id, this.entry(id));
      const { element, name, remove } = this.entries.get(id);
      const text = this.curves.job(id) ? title(this.curves.job(id)) : '…';
      element.className = `run-${this.slotOf(id)}`;
      setText(name, text);
      remove.hidden = draw.length < 2;
      remove.setAttribute('aria-label', `Do not draw ${text}`);
    }
    const elements = draw.map((id) => this.entries.get(id).element);
    if (elements.some((element, index) => at('legend').children[index] !== element) || at('legend').children.length !== elements.length) {
      at('legend').replaceChildren(...elements);
    }
  }

  /** A row of the legend. While the pointer or the focus is on it, the other jobs' lines are faint. */
  entry(id) {
    const name = made('button', 'link');
    name.type = 'button';
    name.addEventListener('click', () => this.open(id));
    const remove = made('button', 'small', '×');
    remove.type = 'button';
    remove.addEventListener('click', () => this.remove(id));
    const figures = ['step', 'train', 'validation', 'accuracy'].map((of) => {
      const cell = made('td', `figure ${of}`);
      cell.dataset.of = of;
      return cell;
    });
    const element = made('tr', '', made('th', '', made('span', 'key'), name), ...figures, made('td', 'act', remove));
    element.firstChild.scope = 'row';
    const emphasize = (only) => {
      for (const line of document.querySelectorAll('.chart [data-job]')) line.classList.toggle('others', only && line.dataset.job !== id);
    };
    for (const event of ['pointerenter', 'focusin']) element.addEventListener(event, () => emphasize(true));
    for (const event of ['pointerleave', 'focusout']) element.addEventListener(event, () => emphasize(false));
    return { element, name, remove, figures };
  }

  /** Shows the figures nearest to the cross-hair, or the newest ones. */
  read() {
    const { step } = this;
    const lines = [];
    for (const [id, { name, figures }] of this.entries) {
      const rows = this.curves.rows(id);
      const row = rows.length === 0 ? null : step === null ? rows.at(-1) : nearest(rows, step);
      const texts = row ? [row.step.toLocaleString('en'), loss(row.train_loss), row.validation ? loss(row.validation.loss) : '', row.validation ? percent(row.validation.accuracy) : ''] : ['', '', '', ''];
      figures.forEach((cell, index) => setText(cell, texts[index]));
      if (row) lines.push(`${name.textContent}: step ${texts[0]}, train ${texts[1]}, validation ${texts[2]}, accuracy ${texts[3]}`);
    }
    setText(at('reading'), step === null ? 'Newest figures. Point at a chart, or use its arrow keys, for those of a step.'
      : `Figures nearest to step ${Math.round(step).toLocaleString('en')}.`);
    for (const chart of [this.losses, this.accuracies]) chart.mark(step, lines.join('; '));
  }
}
