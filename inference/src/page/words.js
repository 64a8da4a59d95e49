// The page's sentences about answers, errors and numbers.

import { BLANK, LABEL, SEVERAL } from './calls.js';
import { DEADLINE_EXCEEDED } from './grpc-web.js';

export const percent = (share) => `${(share * 100).toFixed(1)} %`;

export function age(seconds) {
  const units = [[86400, 'd'], [3600, 'h'], [60, 'min'], [1, 's']];
  const [size, unit] = units.find(([size]) => seconds >= size) ?? [1, 's'];
  return `${Math.max(0, Math.floor(seconds / size))} ${unit}`;
}

/** Bytes as megabytes. */
export const megabytes = (bytes) => `${(bytes / 2 ** 20).toFixed(1)} MB`;

/** How many of the newest reports say that the prediction was right. */
export function reports({ outcomes, accuracy }) {
  return `${Math.round(accuracy * outcomes)} of ${outcomes} ${outcomes === 1 ? 'report' : 'reports'} right`;
}

/** A percentage within a sentence. */
const unbroken = (share) => percent(share).replace(' ', '\u00a0');
const sure = (digit) => digit.probabilities[digit.labelIndex] ?? 0;

/** What was read, in a sentence; `blank` is the one for no ink. */
export function describe({ verdict, digits }, blank) {
  const labelled = digits.filter((digit) => digit.verdict === LABEL);
  if (verdict === BLANK) return blank;
  if (verdict === SEVERAL && labelled.length === 0) {
    return `${digits.length} digits, more than are read at once.`;
  }
  if (labelled.length === 0) return 'No label is probable enough.';
  if (digits.length === 1) return `${unbroken(sure(digits[0]))} sure`;
  const unsure = digits.length - labelled.length;
  if (unsure > 0) return `${digits.length} digits, ${unsure} of them not probable enough.`;
  return `${digits.length} digits, the least sure ${unbroken(Math.min(...digits.map(sure)))}`;
}

/** Why a picture was refused, in a sentence. */
export function refusal(error) {
  if (error.code === DEADLINE_EXCEEDED) return 'Reading it took too long.';
  const reason = error.violations?.[0]?.description ?? error.message;
  return `${reason.charAt(0).toUpperCase()}${reason.slice(1)}${/[.!?]$/.test(reason) ? '' : '.'}`;
}
