// A client of both services in JavaScript, with Connect: classifies a picture, and lists and watches jobs.
//
// Usage: node client.mjs INFERENCE TRAINER PICTURE. The messages are in gen/ (docs/clients.md has the command).

import { readFile } from 'node:fs/promises';
import { Code, ConnectError, createClient } from '@connectrpc/connect';
import { createConnectTransport } from '@connectrpc/connect-node';
import { InferenceService } from './gen/digits/v1/inference_pb.js';
import { TrainingService } from './gen/digits/v1/training_pb.js';

const [inferenceUrl, trainerUrl, picture] = process.argv.slice(2);

const inference = createClient(InferenceService, createConnectTransport({ baseUrl: inferenceUrl, httpVersion: '2' }));
const encoded = [await readFile(picture)];
const answer = await inference.predict({ images: { case: 'pictures', value: { encoded } } }, { timeoutMs: 5_000 });
console.log(answer.predictions[0].label, 'by version', String(answer.servedBy.sequence));

const trainer = createClient(TrainingService, createConnectTransport({ baseUrl: trainerUrl, httpVersion: '2' }));
const { jobs } = await trainer.listJobs({});
for await (const { event } of trainer.watchJob({ jobId: jobs[0].jobId })) {
  if (event.case === 'finished') console.log(jobs[0].jobId, 'has finished');
}

// Several requests over one stream.
async function* requests() {
  for (let i = 0; i < 3; i++) yield { request: { images: { case: 'pictures', value: { encoded } } } };
}
for await (const { response } of inference.predictStream(requests())) {
  console.log(response.predictions[0].label);
}

try {
  await inference.predict({ model: 'letters' });
} catch (error) {
  console.log(ConnectError.from(error).code === Code.NotFound ? 'not found' : error);
}
