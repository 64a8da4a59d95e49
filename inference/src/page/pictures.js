// The pictures that the user gave, newest first: a few are read at a time, each with a state and
// errors of its own.

import { predict } from './calls.js';
import { pause } from './dom.js';
import { DEADLINE_EXCEEDED } from './grpc-web.js';
import { notice, showError } from './messages.js';
import { prepare } from './prepare.js';
import { reading } from './reading.js';
import { refusal } from './words.js';

/** Pictures that are read at a time. */
const PARALLEL = 3;
/** Pictures that are kept, and that are taken at once. */
export const KEPT = 100;
const TIMEOUT_MS = 30_000, RETRY_MS = 1000;

export class Picture {
  /** 'waiting', 'read' or 'refused'. */
  state = 'waiting';
  reading = null;
  chosen = 0;
  /** Why it was refused. */
  error = '';
  /** What is sent, and how the browser shows it; null until it is prepared. */
  prepared = null;
  waiting = 'Being read …';
  blank = 'No ink was found in this picture.';

  constructor(file) {
    this.file = file;
    this.name = file.name;
  }
}

export class Pictures {
  list = [];
  /** Number of pictures of the last `add` that were not taken. */
  leftOut = 0;
  /** Pictures whose last attempt failed for now. */
  #retrying = new Set();
  #queue = [];
  #running = 0;

  /** `changed` is called with a picture whose state changed. */
  constructor(served, limits, changed) {
    Object.assign(this, { served, limits, changed });
  }

  get settled() { return this.#retrying.size === 0; }

  /** Number of pictures that are still to be read. */
  get waiting() { return this.list.filter((picture) => picture.state === 'waiting').length; }

  /** Adds pictures, as many as are kept, and returns them. */
  add(files) {
    this.leftOut = Math.max(0, files.length - KEPT);
    const added = files.slice(0, KEPT).map((file) => new Picture(file));
    this.#insert(added);
    this.read(added);
    return added;
  }

  /** Adds a picture that was read already. */
  async keep({ file, reading }) {
    const picture = Object.assign(new Picture(file), { reading, state: 'read' });
    picture.prepared = await prepare(file, this.limits);
    this.#insert([picture]);
    this.changed(picture);
  }

  remove(picture) {
    this.list = this.list.filter((one) => one !== picture);
    this.#queue = this.#queue.filter((one) => one !== picture);
    this.#retrying.delete(picture);
  }

  /** Reads pictures, once more if they were read already. */
  read(pictures) {
    for (const picture of pictures) picture.state = 'waiting';
    this.#queue.push(...pictures);
    while (this.#running < PARALLEL && this.#queue.length > 0) this.#work();
  }

  /** Forgets the oldest ones, but none that is still to be read. */
  #insert(added) {
    this.list = [...added, ...this.list];
    for (let index = this.list.length - 1; this.list.length > KEPT && index >= 0; index -= 1) {
      if (this.list[index].state !== 'waiting') this.list.splice(index, 1);
    }
  }

  async #work() {
    this.#running += 1;
    for (let picture; (picture = this.#queue.shift());) {
      try {
        await this.#readOne(picture);
        picture.state = 'read';
      } catch (error) {
        Object.assign(picture, { state: 'refused', error: refusal(error) });
      }
      this.#retrying.delete(picture);
      this.changed(picture);
    }
    this.#running -= 1;
  }

  /** Reads a picture, as soon as the server can; not at all once it is removed. */
  async #readOne(picture) {
    picture.prepared ??= await prepare(picture.file, this.limits);
    this.changed(picture);
    const bytes = new Uint8Array(await picture.prepared.sent.arrayBuffer());
    while (this.list.includes(picture)) {
      const { model } = this.served;
      try {
        const response = await predict(model, bytes, TIMEOUT_MS);
        const checkpoint = await this.served.of(response.servedBy);
        if (model !== this.served.model) continue;
        Object.assign(picture, { reading: reading(response, checkpoint), chosen: 0 });
        notice('');
        return;
      } catch (error) {
        if (!error.retryable || error.code === DEADLINE_EXCEEDED) throw error;
        showError(error);
        this.#retrying.add(picture);
      }
      await pause(RETRY_MS);
    }
  }
}
