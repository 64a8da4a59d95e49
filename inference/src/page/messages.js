// Messages above the main part, and those for screen readers.

import { at } from './dom.js';
import { NOT_FOUND, RESOURCE_EXHAUSTED, UNAUTHENTICATED, UNAVAILABLE } from './grpc-web.js';

/** Milliseconds without a new answer before one is announced. */
const ANNOUNCE_MS = 800;
let speaking;

export function say(words) {
  at('spoken').textContent = words;
}

/** Announces an answer unless another one follows soon. */
export function announce(words) {
  clearTimeout(speaking);
  speaking = setTimeout(() => say(words), ANNOUNCE_MS);
}

/** Shows a message, or hides it if empty. Screen readers announce changes. */
function message(id, words) {
  at(id).hidden = !words;
  if (at(id).textContent !== words) at(id).textContent = words;
}

export const notice = (words) => message('notice', words);

/** Shows the refusal of a version that is newer than the served one. */
export function showRefusal({ lastRefusal, served: [primary] }) {
  const serving = primary?.sequence ?? 0;
  if (!lastRefusal || lastRefusal.sequence <= serving) return message('refused', '');
  const reason = lastRefusal.reason.replaceAll('_', ' ');
  const instead = primary ? ` Version ${serving} stays in use.` : '';
  message('refused', `Version ${lastRefusal.sequence} was refused (${reason}).${instead}`);
}

/** Shows why a call failed; `failed` begins the sentence for errors that the server explains. */
export function showError(error, failed) {
  if (error.reached === false) notice('The server does not respond. Retrying …');
  // The field for the token shows it.
  else if (error.code === UNAUTHENTICATED) notice('');
  else if (error.code === RESOURCE_EXHAUSTED) notice('The server is busy. Retrying …');
  else if (error.code === UNAVAILABLE) notice('Waiting for the first checkpoint of this model.');
  else if (error.code === NOT_FOUND) notice('This server does not serve the model any more. Reload the page.');
  else notice(`${failed}: ${error.message}`);
}
