// The curves of the selected jobs: history first, then live rows, reconnecting after errors.

import { call, watch } from './calls.js';

/** Rows kept per job; beyond that every second one is dropped. */
const ROWS = 4000;
const RETRY = 1000;
const QUEUED = 1, RUNNING = 2;

export const isOver = (job) => job.state !== QUEUED && job.state !== RUNNING;

const pause = (time) => new Promise((done) => setTimeout(done, time));

export class Curves {
  /** `changed` is called after each row and with true after each other event, `failed` with each error. */
  constructor(changed, failed) {
    this.changed = changed;
    this.failed = failed;
    /** Job id → {rows, job, abort}. */
    this.followed = new Map();
  }

  rows(job) { return this.followed.get(job)?.rows ?? []; }

  /** The job, once it was fetched. */
  job(id) { return this.followed.get(id)?.job; }

  /** Follows exactly these jobs. */
  follow(jobs) {
    for (const [job, { abort }] of this.followed) {
      if (jobs.includes(job)) continue;
      abort.abort();
      this.followed.delete(job);
    }
    for (const job of jobs) {
      if (this.followed.has(job)) continue;
      const one = { rows: [], job: undefined, abort: new AbortController() };
      this.followed.set(job, one);
      this.run(job, one);
    }
    this.changed();
  }

  async run(id, one) {
    const { signal } = one.abort;
    while (!signal.aborted) {
      try {
        const { job } = await call('GetJob', { job_id: id });
        const { rows } = await call('GetHistory', { job_id: id, max_rows: ROWS / 2 });
        one.rows = rows;
        one.job = job;
        this.changed();
        if (isOver(job) || await this.live(id, one, job.last_event_sequence, signal)) return;
      } catch (error) {
        if (signal.aborted) return;
        this.failed(error);
        if (!error.retryable) return;
      }
      await pause(RETRY);
    }
  }

  /** Streams rows; returns whether the job is over. */
  async live(id, one, sequence, signal) {
    for await (const event of watch(id, sequence, signal)) {
      if (event.row) this.add(one, event.row);
      if (event.finished) one.job.state = event.finished.state;
      if (event.finished || event.state_changed || event.checkpoint_published || event.publishing_changed) this.changed(true);
      if (event.finished) return true;
    }
    return false;
  }

  add(one, row) {
    const last = one.rows.at(-1);
    // The history may contain it already.
    if (last && row.step <= last.step) return;
    one.rows.push(row);
    if (one.rows.length > ROWS) one.rows = one.rows.filter((_, index) => index % 2 === 0);
    this.changed();
  }
}
