// Calls the methods of the trainer's two services by name. The service describes their messages
// (/page/messages.json).

import { decode, encode } from './wire.js';
import { RpcError, UNKNOWN, stream, unary } from './grpc-web.js';

const TIMEOUT = 10_000;
const PACKAGE = 'digits.v1.';
const CHECKPOINTS = ['ListCheckpoints', 'Promote', 'Rollback', 'Release', 'ListServing'];

let tables = {};
let enums = {};

/** Fetches the descriptions of the messages. */
export async function loadMessages() {
  const response = await fetch('/page/messages.json');
  if (!response.ok) throw new RpcError(UNKNOWN, `the server answered with HTTP ${response.status}`);
  const described = await response.json();
  enums = described.enums;
  tables = described.messages;
  for (const table of Object.values(tables)) {
    for (const field of Object.values(table)) field[1] = tables[field[1]] ?? field[1];
  }
}

const table = (name) => tables[PACKAGE + name];
const path = (method) => `/${PACKAGE}${CHECKPOINTS.includes(method) ? 'CheckpointService' : 'TrainingService'}/${method}`;

/** Calls a unary method. */
export async function call(method, request = {}) {
  const bytes = encode(table(`${method}Request`), request);
  return decode(table(`${method}Response`), await unary(path(method), bytes, { timeout: TIMEOUT }));
}

/** Streams the events of a job after a sequence number. */
export async function* watch(job_id, after_sequence, signal) {
  const bytes = encode(table('WatchJobRequest'), { job_id, after_sequence });
  for await (const event of stream(path('WatchJob'), bytes, { signal })) yield decode(table('WatchJobResponse'), event);
}

/** The display text of an enum's value: `running` for JOB_STATE_RUNNING. */
export function word(name, value) {
  const values = enums[PACKAGE + name] ?? {};
  const prefix = (values[0] ?? '').replace(/UNSPECIFIED$/, '');
  return (values[value] ?? String(value)).replace(prefix, '').toLowerCase().replaceAll('_', ' ');
}

/** The set fields of the message `name` as [path, value], with the paths that the trainer's errors use. */
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
    // A message without fields is set or not.
    return inner.length > 0 ? inner : [[path + name, 'yes']];
  });
}

/** A number with at most seven digits, the precision of 32-bit floats. */
const number = (value) => (Number.isInteger(value) ? value.toLocaleString('en') : String(Number(value.toPrecision(7))));
