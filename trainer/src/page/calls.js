// Calls of the trainer's two services, by name. Their messages are described by the service itself (/page/messages.json).

import { decode, encode } from './wire.js';
import { RpcError, UNKNOWN, stream, unary } from './grpc-web.js';

const TIMEOUT = 10_000;
const PACKAGE = 'digits.v1.';
const CHECKPOINTS = ['ListCheckpoints', 'Promote', 'Rollback', 'Release', 'ListServing'];

let tables = {};
let enums = {};

/** Learns the messages. */
export async function learn() {
  const answer = await fetch('/page/messages.json');
  if (!answer.ok) throw new RpcError(UNKNOWN, `the server answered with HTTP ${answer.status}`);
  const described = await answer.json();
  enums = described.enums;
  tables = described.messages;
  for (const table of Object.values(tables)) {
    for (const field of Object.values(table)) field[1] = tables[field[1]] ?? field[1];
  }
}

const table = (name) => tables[PACKAGE + name];
const path = (method) => `/${PACKAGE}${CHECKPOINTS.includes(method) ? 'CheckpointService' : 'TrainingService'}/${method}`;

/** The answer of a call. */
export async function call(method, request = {}) {
  const bytes = encode(table(`${method}Request`), request);
  return decode(table(`${method}Response`), await unary(path(method), bytes, { timeout: TIMEOUT }));
}

/** The events of a job after a sequence number, as they come. */
export async function* watch(job_id, after_sequence, signal) {
  const bytes = encode(table('WatchJobRequest'), { job_id, after_sequence });
  for await (const event of stream(path('WatchJob'), bytes, { signal })) yield decode(table('WatchJobResponse'), event);
}

/** A value of an enum as a word: `running` of JOB_STATE_RUNNING. */
export function word(name, value) {
  const values = enums[PACKAGE + name] ?? {};
  const prefix = (values[0] ?? '').replace(/UNSPECIFIED$/, '');
  return (values[value] ?? String(value)).replace(prefix, '').toLowerCase().replaceAll('_', ' ');
}

/** What is set of a message, as [path, value]; paths are those of the trainer's errors. `name` is the message's. */
export function entries(name, message) {
  return rows(table(name), message, '');
}

function rows(fields, message, path) {
  return Object.values(fields).flatMap(([name, type, list, , shown]) => {
    const value = message[name];
    if (value === null || value === undefined || value === '' || (list && value.length === 0)) return [];
    const one = (value) => {
      if (shown === 'bool') return value ? 'yes' : 'no';
      if (shown) return word(shown.slice(PACKAGE.length), value);
      return typeof value === 'number' ? number(value) : String(value);
    };
    if (typeof type !== 'object') return [[path + name, list ? value.map(one).join(', ') : one(value)]];
    const inner = (list ? value : [value]).flatMap((message) => rows(type, message, `${path}${name}.`));
    // A message without fields says something by being there.
    return inner.length > 0 ? inner : [[path + name, 'yes']];
  });
}

/** A number as short as it can be said: floats of 32 bits have no more than seven digits. */
const number = (value) => (Number.isInteger(value) ? value.toLocaleString('en') : String(Number(value.toPrecision(7))));
