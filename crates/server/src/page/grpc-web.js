// gRPC-Web over fetch, to the port that the page came from. Requests and answers are bytes; see wire.js.

import { accepted, ask, authorization } from './token.js';
import { concat } from './wire.js';

const TRAILERS = 128;
export const UNKNOWN = 2, DEADLINE_EXCEEDED = 4, NOT_FOUND = 5, RESOURCE_EXHAUSTED = 8, UNAVAILABLE = 14,
  UNAUTHENTICATED = 16;

/** An error of a call; `code` is gRPC's, `reached` says whether it was the server that told it. */
export class RpcError extends Error {
  constructor(code, message, reached = true) {
    super(message);
    this.code = code;
    this.reached = reached;
  }

  /** Whether the same call may succeed a little later: without a token, once one is given. */
  get passes() {
    return !this.reached || [DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, UNAVAILABLE, UNAUTHENTICATED].includes(this.code);
  }
}

function frame(message) {
  const head = new Uint8Array(5);
  new DataView(head.buffer).setUint32(1, message.length);
  return concat([head, message]);
}

/** What grpc-status and grpc-message say, as an error; null for OK. `get` reads a header or a trailer. */
function failure(get, otherwise) {
  const status = get('grpc-status');
  if (status === null || status === undefined) return otherwise;
  if (status.trim() === '0') return null;
  const message = get('grpc-message') ?? '';
  let said = message;
  try { said = decodeURIComponent(message); } catch { /* it stays as it came */ }
  return new RpcError(Number(status), said);
}

function trailersOf(bytes) {
  const lines = new TextDecoder().decode(bytes).split('\r\n');
  const trailers = new Map(lines.filter(Boolean).map((line) => {
    const colon = line.indexOf(':');
    return [line.slice(0, colon).trim().toLowerCase(), line.slice(colon + 1).trim()];
  }));
  return (name) => trailers.get(name);
}

/** The messages of a call as they come. Throws an RpcError; `signal` ends it. */
export async function* stream(path, message, { signal, timeout } = {}) {
  const headers = { 'content-type': 'application/grpc-web+proto', 'x-grpc-web': '1' };
  if (timeout) headers['grpc-timeout'] = `${timeout}m`;
  const sent = authorization();
  if (sent) headers.authorization = sent;
  // A little longer than the server has, so that its own answer is heard.
  const limits = [signal, timeout && AbortSignal.timeout(timeout + 1000)].filter(Boolean);
  let rest = new Uint8Array();
  try {
    const answer = await fetch(path, {
      method: 'POST', headers, body: frame(message), cache: 'no-store', signal: AbortSignal.any(limits),
    });
    const header = (name) => answer.headers.get(name);
    const unframed = new RpcError(UNKNOWN, `the server answered with HTTP ${answer.status}`);
    const early = failure(header, answer.ok ? null : unframed);
    if (early) throw early;
    accepted();
    const reader = answer.body.getReader();
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
    if (error.code === UNAUTHENTICATED) ask(sent);
    if (error instanceof RpcError || signal?.aborted) throw error;
    throw new RpcError(UNAVAILABLE, 'the server cannot be reached', false);
  }
  throw new RpcError(UNAVAILABLE, 'the connection was cut', false);
}

/** The one answer of a call. */
export async function unary(path, message, options) {
  let answer;
  for await (const body of stream(path, message, options)) answer = body;
  if (!answer) throw new RpcError(UNKNOWN, 'the server sent no answer');
  return answer;
}
