// Where the opened job is shown: beside the list on a wide screen, where it stays in view, and
// below its row on a narrow one.

import { at, made } from './show.js';

const NARROW = matchMedia('(max-width: 72rem)');

export class Placement {
  /** `changed` is called when the screen becomes narrow or wide. */
  constructor(changed) {
    this.cell = made('td');
    this.cell.colSpan = 6;
    this.line = made('tr', 'inline', this.cell);
    this.opened = at('opened');
    this.home = this.opened.parentElement;
    /** The job whose row is scrolled into view once it is there: the one in the page's address. */
    this.wanted = new URLSearchParams(location.hash.slice(1)).get('job');
    NARROW.addEventListener('change', changed);
  }

  get isInline() { return NARROW.matches; }

  /** The table row that goes below the opened job's; null where it is shown beside the list. */
  row(job) { return this.isInline && job ? this.line : null; }

  /** Puts the opened job where it belongs. Before the list is shown, which may remove the row below. */
  settle(hasRow) {
    const place = this.isInline && hasRow ? this.cell : this.home;
    if (this.opened.parentElement !== place) place.prepend(this.opened);
    this.opened.hidden = this.isInline && !hasRow;
  }

  /** Runs `change`, and keeps `row` where it is on the screen. */
  hold(row, change) {
    const before = row?.getBoundingClientRect().top;
    change();
    if (row) scrollBy(0, row.getBoundingClientRect().top - before);
    if (!this.isInline) this.home.scrollTop = 0;
  }

  /** Scrolls to the row of the job that the page was opened for, once. */
  reveal(job) {
    if (!this.wanted || this.wanted !== job) return;
    const row = document.querySelector(`#list tr[data-job="${CSS.escape(job)}"]`);
    if (!row) return;
    this.wanted = null;
    const { top, bottom } = row.getBoundingClientRect();
    if (top < 0 || bottom > innerHeight) row.scrollIntoView({ block: 'center' });
  }
}
