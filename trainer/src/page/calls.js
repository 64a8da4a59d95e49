// Calls the methods of the trainer's services by name. The service describes their messages
// (/page/messages.json).

import { decode, encode } from './wire.js';
import { RpcError, UNKNOWN, stream, unary } from './grpc-web.js';

const TIMEOUT = 10_000;
const PACKAGE = 'digits.v1.';
const SERVICES = { CheckpointService: ['ListCheckpoints', 'Promote', 'Rollback', 'Release', 'ListServing'], SweepService: ['ListSweeps', 'GetSweep', 'CancelSweep'] };

let tables = {};
let enums = {};

async function fetched(path) {
  const response = await fetch(path);
  if (!response.ok) throw new RpcError(UNKNOWN, `the server answered with HTTP ${response.status}`);
  return response.json();
}

/** The description of the fields of a job spec; see form.js. */
export const loadFields = () => fetched('/page/form.json');

/** Fetches the descriptions of the messages. */
export async function loadMessages() {
  const described = await fetched('/page/messages.json');
  enums = described.enums;
  tables = described.messages;
  for (const table of Object.values(tables)) {
    for (const field of Object.values(table)) field[1] = tables[field[1]] ?? field[1];
  }
}

const table = (name) => tables[PACKAGE + name];
const service = (method) => Object.keys(SERVICES).find((name) => SERVICES[name].includes(method)) ?? 'TrainingService';
const path = (method) => `/${PACKAGE}${service(method)}/${method}`;

/** Calls a unary method. */
export async function call(method, request = {}) {
  const bytes = encode(table(`${method}Request`), request);
  return decode(table(`${method}Response`), await unary(path(method), bytes, { timeout: TIMEOUT }));
}

/** The first `limit` entries of a list, which comes in pages. */
export async function entriesOf(method, field, request, limit) {
  const found = [];
  for (let token = ''; ;) {
    const answer = await call(method, { ...request, page_size: limit - found.length, page_token: token });
    found.push(...answer[field]);
    token = answer.next_page_token;
    if (!token || found.length >= limit) return found;
  }
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
