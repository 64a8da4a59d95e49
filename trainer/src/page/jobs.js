// All jobs of the trainer, briefly, newest first. Fetches each ended job once: a refresh asks for
// the newest jobs and for those that had not ended.

import { call } from './calls.js';
import { isOver } from './curves.js';
import { short, state, title } from './show.js';

/** Jobs of a refresh, and of a page of older ones. */
const NEWEST = 20, OLDER = 1000;
const UNFINISHED = [1, 2];

/** What the list shows of a job, and the text that is searched. */
function brief(job) {
  const { resolved, progress } = job;
  const validation = progress?.latest?.validation;
  const labels = (resolved?.labels ?? []).map(({ key, value }) => `${key}=${value}`);
  const about = [resolved?.preset, resolved?.data?.dataset?.replace(/@([0-9a-f]{8})[0-9a-f]*/, '@$1')].filter(Boolean);
  const name = title(job);
  return {
    id: job.job_id, name, about, model: resolved?.model ?? '', state: state(job), isOver: isOver(job),
    isCancelled: job.cancel_requested, created: job.created_at, step: progress?.step ?? 0, steps: progress?.steps ?? 0,
    loss: validation?.loss, accuracy: validation?.accuracy,
    text: [name, job.job_id, short(job.job_id), resolved?.data?.dataset, resolved?.model, job.device, state(job), ...about, ...labels].join(' ').toLowerCase(),
  };
}

export class Jobs {
  constructor() {
    this.clear();
  }

  clear() {
    this.order = [];
    this.byId = new Map();
    /** Token of the next page of older jobs; '' when all are here. */
    this.older = null;
  }

  get isComplete() { return this.older === ''; }

  get all() { return this.order.map((id) => this.byId.get(id)); }

  get(id) { return this.byId.get(id); }

  put(job) { this.byId.set(job.job_id, brief(job)); }

  async refresh() {
    const seen = await this.newest();
    const left = this.all.filter((job) => !job.isOver && !seen.has(job.id)).map(({ id }) => id);
    if (left.length > 0) await this.unfinished(left);
    if (this.older) {
      const page = await call('ListJobs', { page_size: OLDER, page_token: this.older });
      this.append(page);
    }
  }

  append({ jobs, next_page_token }) {
    for (const job of jobs) {
      if (!this.byId.has(job.job_id)) this.order.push(job.job_id);
      this.put(job);
    }
    this.older = next_page_token;
  }

  /** Fetches the jobs since the newest known one; returns the ids that it saw. */
  async newest() {
    const isFirst = this.older === null;
    const found = [];
    let token = '';
    do {
      const page = await call('ListJobs', { page_size: token ? OLDER : NEWEST, page_token: token });
      found.push(...page.jobs);
      token = page.next_page_token;
    } while (token && !isFirst && !found.some(({ job_id }) => this.byId.has(job_id)));
    // No known job is left: another database is behind the same address.
    if (this.order.length > 0 && !found.some(({ job_id }) => this.byId.has(job_id))) this.clear();
    this.older ??= token;
    this.order.unshift(...found.map(({ job_id }) => job_id).filter((id) => !this.byId.has(id)));
    found.forEach((job) => this.put(job));
    return new Set(found.map(({ job_id }) => job_id));
  }

  /** Fetches jobs that had not ended when they were fetched last. */
  async unfinished(ids) {
    const open = new Set();
    for (let token = ''; ;) {
      const page = await call('ListJobs', { states: UNFINISHED, page_size: OLDER, page_token: token });
      for (const job of page.jobs.filter(({ job_id }) => this.byId.has(job_id))) { this.put(job); open.add(job.job_id); }
      token = page.next_page_token;
      if (!token) break;
    }
    for (const id of ids.filter((id) => !open.has(id))) this.put((await call('GetJob', { job_id: id })).job);
  }

  /** Number of jobs by state; not known for ended ones until all jobs are here. */
  counts() {
    const counts = new Map();
    for (const { state } of this.all) counts.set(state, (counts.get(state) ?? 0) + 1);
    return counts;
  }
}
