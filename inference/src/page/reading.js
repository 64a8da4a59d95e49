// A prediction as the page shows it: a text, and the digits that make it up.

import { BLANK, LABEL } from './calls.js';

/**
 * The reading of one picture. Each of `digits` has a label with its index, probabilities, the
 * network's input and a verdict; its box is null where the digit is the picture as a whole.
 */
export function reading({ prediction, servedBy }, checkpoint) {
  const digits = digitsOf(prediction);
  return {
    verdict: prediction.verdict,
    text: prediction.text || prediction.label,
    digits,
    servedBy,
    labels: checkpoint?.labels ?? [],
    input: checkpoint?.input,
  };
}

function digitsOf(prediction) {
  if (prediction.verdict === BLANK) return [];
  if (prediction.parts.length > 0) return prediction.parts.map((part) => ({ ...part, reported: null }));
  if (prediction.boxes.length === 0) return [{ ...prediction, box: null, reported: null }];
  const unread = { label: '', labelIndex: 0, probabilities: [], input: [], verdict: prediction.verdict };
  return prediction.boxes.map((box) => ({ ...unread, box, reported: null }));
}

/** Whether a digit has a label. */
export const isLabelled = (digit) => digit?.verdict === LABEL;
