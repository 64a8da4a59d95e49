// Submits the spec in the form, once however often it is pressed, and shows why it is refused.

import { call } from './calls.js';
import { at } from './show.js';
import { toMessage } from './spec.js';

const PREFIX = /^spec\./;

/** 128 random bits; randomUUID is not there over plain HTTP from another machine. */
function unique() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

export class Submission {
  /** `accepted` is called with each new job. */
  constructor(form, accepted) {
    this.form = form;
    this.accepted = accepted;
    /** The unanswered SubmitJob request: a retry with the same request id is the same job. */
    this.pending = null;
    form.place.addEventListener('submit', (event) => { event.preventDefault(); this.send(); });
    at('train').disabled = false;
  }

  async send() {
    const { json, errors } = this.form.read();
    if (this.form.jsonError) errors.push(this.form.jsonError);
    this.form.refuse(errors);
    if (errors.length > 0) return;
    const wanted = JSON.stringify(json);
    if (this.pending?.wanted !== wanted) this.pending = { wanted, id: unique() };
    at('train').disabled = true;
    try {
      const { job } = await call('SubmitJob', { request_id: this.pending.id, spec: toMessage(this.form.fields, json) });
      this.pending = null;
      this.accepted(job);
    } catch (error) {
      if (error.reached) this.pending = null;
      const violations = error.violations ?? [];
      if (violations.length > 0) this.form.refuse(violations.map(({ field, description }) => ({ path: field.replace(PREFIX, ''), reason: description })));
      else this.form.say(error.reached ? error.message : 'The trainer does not answer. Press Train again: the job is submitted only once.');
    }
    at('train').disabled = false;
  }
}
