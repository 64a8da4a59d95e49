// gRPC-Web over fetch, to the port that the page came from. Messages are bytes; see wire.js.

import { authorization, hideForm, showForm } from './token.js';
import { LIST, concat, decode } from './wire.js';

const TRAILERS = 128;
export const UNKNOWN = 2, DEADLINE_EXCEEDED = 4, NOT_FOUND = 5, RESOURCE_EXHAUSTED = 8, UNAVAILABLE = 14,
  UNAUTHENTICATED = 16;

/** google.rpc.BadRequest, and google.rpc.Status without what is in the other headers. */
const BAD_REQUEST = { 1: ['field_violations', { 1: ['field', 'string'], 2: ['description', 'string'] }, LIST] };
const STATUS = { 3: ['details', { 1: ['type_url', 'string'], 2: ['value', 'bytes'] }, LIST] };

/** An error of a call, with its gRPC code. `reached` is false where no response of the server arrived;
 *  `violations` are the invalid fields of the request, as {field, description}. */
export class RpcError extends Error {
  constructor(code, message, reached = true) {
    super(message);
    this.code = code;
    this.reached = reached;
    this.violations = [];
  }

  /** Whether the same call may succeed later; without a token, once one was entered. */
  get retryable() {
    return !this.reached || [DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, UNAVAILABLE, UNAUTHENTICATED].includes(this.code);
  }
}

function frame(message) {
  const head = new Uint8Array(5);
  new DataView(head.buffer).setUint32(1, message.length);
  return concat([head, message]);
}

/** The error in grpc-status and grpc-message; null for OK, `otherwise` without a status. `get` reads a header or a trailer. */
function failure(get, otherwise) {
  const status = get('grpc-status');
  if (status === null || status === undefined) return otherwise;
  if (status.trim() === '0') return null;
  const message = get('grpc-message') ?? '';
  let text = message;
  try { text = decodeURIComponent(message); } catch { /* not percent-encoded: used as it is */ }
  const error = new RpcError(Number(status), text);
  error.violations = violationsOf(get('grpc-status-details-bin'));
  return error;
}

function violationsOf(base64) {
  if (!base64) return [];
  const { details } = decode(STATUS, Uint8Array.from(atob(base64.trim()), (char) => char.charCodeAt(0)));
  return details.filter(({ type_url }) => type_url.endsWith('/google.rpc.BadRequest'))
    .flatMap(({ value }) => decode(BAD_REQUEST, value).field_violations);
}

function trailersOf(bytes) {
  const lines = new TextDecoder().decode(bytes).split('\r\n');
  const trailers = new Map(lines.filter(Boolean).map((line) => {
    const colon = line.indexOf(':');
    return [line.slice(0, colon).trim().toLowerCase(), line.slice(colon + 1).trim()];
  }));
  return (name) => trailers.get(name);
}

/** The response messages of a call, as they arrive. Throws an RpcError; `signal` aborts the call. */
export async function* stream(path, message, { signal, timeout } = {}) {
  const headers = { 'content-type': 'application/grpc-web+proto', 'x-grpc-web': '1' };
  if (timeout) headers['grpc-timeout'] = `${timeout}m`;
  const sent = authorization();
  if (sent) headers.authorization = sent;
  // A little longer than the server's deadline, so that its own response arrives first.
  const limits = [signal, timeout && AbortSignal.timeout(timeout + 1000)].filter(Boolean);
  let rest = new Uint8Array();
  try {
    const response = await fetch(path, {
      method: 'POST', headers, body: frame(message), cache: 'no-store', signal: AbortSignal.any(limits),
    });
    const header = (name) => response.headers.get(name);
    const unframed = new RpcError(UNKNOWN, `the server responded with HTTP ${response.status}`);
    const early = failure(header, response.ok ? null : unframed);
    if (early) throw early;
    hideForm();
    const reader = response.body.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      rest = concat([rest, value]);
      while (rest.length >= 5) {
        const length = new DataView(rest.buffer, rest.byteOffset).getUint32(1);
        if (rest.length < 5 + length) break;
        const body = rest.slice(5, 5 + length);
        const isTrailers = rest[0] & TRAILERS;
        rest = rest.slice(5 + length);
        if (!isTrailers) { yield body; continue; }
        const late = failure(trailersOf(body), null);
        if (late) throw late;
        return;
      }
    }
  } catch (error) {
    if (error.code === UNAUTHENTICATED) showForm(sent);
    if (error instanceof RpcError || signal?.aborted) throw error;
    throw new RpcError(UNAVAILABLE, 'the server cannot be reached', false);
  }
  throw new RpcError(UNAVAILABLE, 'the connection was closed before the end of the response', false);
}

/** The single response message of a call. */
export async function unary(path, message, options) {
  let response;
  for await (const body of stream(path, message, options)) response = body;
  if (!response) throw new RpcError(UNKNOWN, 'the response has no message');
  return response;
}
