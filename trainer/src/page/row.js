// A row of the list of jobs; it is kept across refreshes so that the focus stays.

import { element } from './chart.js';
import { loss, made, mark, moment, percent, setText, short } from './show.js';

function button(kind, text, pressed) {
  const made_ = made('button', kind, text);
  made_.type = 'button';
  made_.addEventListener('click', pressed);
  return made_;
}

export class Row {
  /** `actions` are open, draw, cancel and clone, each called with the job's id. */
  constructor(id, actions) {
    this.check = made('input');
    this.check.type = 'checkbox';
    this.check.addEventListener('change', () => actions.draw(id, this.check.checked));
    this.swatch = element('svg', { class: 'swatch', viewBox: '0 0 18 18', 'aria-hidden': 'true' });
    this.swatch.append(element('circle', { cx: 9, cy: 9, r: 6 }));
    this.name = button('link', '', () => actions.open(id, this.element));
    this.about = made('span', 'quiet');
    this.state = made('span', 'state');
    this.bar = made('progress');
    this.loss = made('td', 'figure');
    this.accuracy = made('td', 'figure');
    this.cancel = button('small', 'Cancel', () => actions.cancel(id));
    this.clone = button('small clone', 'Clone', () => actions.clone(id));
    this.element = made('tr', '',
      made('td', 'pick', made('label', '', this.check, this.swatch)), made('td', '', this.name, this.about),
      made('td', '', this.state, this.bar), this.loss, this.accuracy, made('td', 'act', this.cancel, this.clone));
    this.element.dataset.job = id;
    this.loss.dataset.label = 'Loss';
    this.accuracy.dataset.label = 'Accuracy';
  }

  /** `view`: slot of the job's colour or undefined, whether it is opened, inline, and may be drawn. */
  show(job, { slot, isOpened, isInline, isFull }) {
    setText(this.name, job.name);
    this.check.setAttribute('aria-label', `Draw the curves of ${job.name}, ${short(job.id)}`);
    setText(this.about, [...job.about, moment(job.created)].join(' · '));
    setText(this.state, job.state);
    this.state.dataset.state = job.state;
    this.bar.hidden = job.isOver || job.state === 'queued';
    this.bar.max = Math.max(job.steps, 1);
    this.bar.value = job.step;
    this.bar.setAttribute('aria-label', `Progress of ${job.name}`);
    setText(this.loss, job.loss === undefined ? '' : loss(job.loss));
    setText(this.accuracy, job.accuracy === undefined ? '' : percent(job.accuracy));
    this.cancel.hidden = job.isOver || job.isCancelled;
    this.clone.hidden = !this.cancel.hidden;
    this.cancel.setAttribute('aria-label', `Cancel ${job.name}`);
    this.clone.setAttribute('aria-label', `Clone ${job.name}`);
    this.check.checked = slot !== undefined;
    this.check.disabled = slot === undefined && isFull;
    this.swatch.setAttribute('class', `swatch ${slot === undefined ? 'none' : `run-${slot}`}`);
    this.element.classList.toggle('opened', isOpened);
    // Beside the list the details are always there; below the row they fold.
    mark(this.name, 'aria-current', isOpened && !isInline);
    if (isInline) this.name.setAttribute('aria-expanded', String(isOpened));
    else this.name.removeAttribute('aria-expanded');
  }
}
