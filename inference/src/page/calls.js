// The RPCs of the page, with the fields that it uses (proto/digits/v1/inference.proto).

import { LIST, decode, encode } from './wire.js';
import { unary } from './grpc-web.js';

const SERVICE = '/digits.v1.InferenceService/';
const TIMEOUT_MS = 5000;

const TIMESTAMP = { 1: ['seconds', 'uint'] };
const EVALUATION = { 1: ['images', 'uint'], 3: ['accuracy', 'double'] };
const INPUT = { 1: ['height', 'uint'], 2: ['width', 'uint'] };
const CHECKPOINT = {
  1: ['id', 'string'], 3: ['createdAt', TIMESTAMP], 5: ['input', INPUT], 6: ['labels', 'string', LIST],
  7: ['normalization', 'uint'], 11: ['validation', EVALUATION], 12: ['test', EVALUATION],
};
const LIVE = { 1: ['outcomes', 'uint'], 2: ['accuracy', 'double'] };
const SERVED = { 1: ['checkpoint', CHECKPOINT], 2: ['sequence', 'uint'], 3: ['role', 'uint'], 6: ['live', LIVE] };
const REFUSAL = { 1: ['sequence', 'uint'], 3: ['reason', 'string'] };
const MODEL = { 2: ['served', SERVED, LIST], 5: ['lastRefusal', REFUSAL] };

const PICTURES = { 1: ['encoded', 'bytes', LIST] };
const PREDICT = { 1: ['model', 'string'], 3: ['pictures', PICTURES], 7: ['wantInput', 'uint'], 10: ['expect', 'uint'] };
const BOX = { 1: ['left', 'uint'], 2: ['top', 'uint'], 3: ['width', 'uint'], 4: ['height', 'uint'] };
const PART = {
  1: ['box', BOX], 2: ['labelIndex', 'uint'], 3: ['label', 'string'], 4: ['probabilities', 'float', LIST],
  7: ['verdict', 'uint'], 8: ['input', 'bytes'],
};
const PREDICTION = {
  1: ['labelIndex', 'uint'], 2: ['label', 'string'], 3: ['probabilities', 'float', LIST], 6: ['verdict', 'uint'],
  7: ['input', 'bytes'], 8: ['boxes', BOX, LIST], 9: ['parts', PART, LIST], 10: ['text', 'string'],
};
const SERVED_BY = { 1: ['model', 'string'], 2: ['id', 'string'], 3: ['sequence', 'uint'], 4: ['role', 'uint'] };
const RESPONSE = { 1: ['predictions', PREDICTION, LIST], 2: ['servedBy', SERVED_BY] };
const OUTCOME = {
  1: ['model', 'string'], 2: ['sequence', 'uint'], 3: ['predicted', 'uint'], 4: ['truth', 'uint'], 5: ['role', 'uint'],
};

/** Pictures may show numbers of several digits. */
const EXPECT_NUMBER = 1;
export const LABEL = 1, BLANK = 2, SEVERAL = 3;
export const CANARY = 2;
/** Pictures are only scaled to the input, so that it matters which of ink and paper is light. */
export const NOT_NORMALIZED = 1;

/** What the server serves of this model. */
export async function getModel(model) {
  const request = encode({ 1: ['model', 'string'] }, { model });
  return decode(MODEL, await unary(`${SERVICE}GetModel`, request, { timeout: TIMEOUT_MS }));
}

/** Classifies a picture; returns the prediction, with the network's input, and the checkpoint. */
export async function predict(model, picture, timeout) {
  const request = encode(PREDICT, { model, pictures: { encoded: [picture] }, wantInput: 1, expect: EXPECT_NUMBER });
  const response = decode(RESPONSE, await unary(`${SERVICE}Predict`, request, { timeout }));
  return { prediction: response.predictions[0], servedBy: response.servedBy };
}

/** Reports the true label of a digit; both labels are indices. */
export async function reportOutcome({ model, sequence, role }, predicted, truth) {
  const request = encode(OUTCOME, { model, sequence, predicted, truth, role });
  await unary(`${SERVICE}ReportOutcome`, request, { timeout: TIMEOUT_MS });
}
