// Tests calls of a page of another origin with @connectrpc/connect-web: `connect.mjs INFERENCE TRAINER PICTURE FOLDER`,
// where FOLDER has node_modules and the generated messages in gen/.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join, normalize } from 'node:path';
import { launch, until } from './browser.mjs';

const [inference, trainer, picture, folder] = process.argv.slice(2);
const IMPORTS = {
  '@bufbuild/protobuf': '/node_modules/@bufbuild/protobuf/dist/esm/index.js',
  '@bufbuild/protobuf/codegenv2': '/node_modules/@bufbuild/protobuf/dist/esm/codegenv2/index.js',
  '@bufbuild/protobuf/reflect': '/node_modules/@bufbuild/protobuf/dist/esm/reflect/index.js',
  '@bufbuild/protobuf/wire': '/node_modules/@bufbuild/protobuf/dist/esm/wire/index.js',
  '@bufbuild/protobuf/wkt': '/node_modules/@bufbuild/protobuf/dist/esm/wkt/index.js',
  '@connectrpc/connect': '/node_modules/@connectrpc/connect/dist/esm/index.js',
  '@connectrpc/connect/protocol': '/node_modules/@connectrpc/connect/dist/esm/protocol/index.js',
  '@connectrpc/connect/protocol-connect': '/node_modules/@connectrpc/connect/dist/esm/protocol-connect/index.js',
  '@connectrpc/connect/protocol-grpc-web': '/node_modules/@connectrpc/connect/dist/esm/protocol-grpc-web/index.js',
  '@connectrpc/connect-web': '/node_modules/@connectrpc/connect-web/dist/esm/index.js',
};
const INDEX = `<!doctype html><script type="importmap">${JSON.stringify({ imports: IMPORTS })}</script>`;

const pages = createServer(async (request, response) => {
  try {
    if (request.url === '/') return response.setHeader('content-type', 'text/html').end(INDEX);
    const path = normalize(new URL(request.url, 'http://localhost').pathname);
    const body = await readFile(join(folder, path));
    response.setHeader('content-type', path.endsWith('.js') ? 'text/javascript' : 'application/octet-stream').end(body);
  } catch {
    response.writeHead(404).end();
  }
});
await new Promise((done) => pages.listen(0, '127.0.0.1', done));

const browser = await launch();
const page = await browser.newPage();
await page.goto(`http://127.0.0.1:${pages.address().port}/`);
const encoded = (await readFile(picture)).toString('base64');

/** Calls both services in the page. */
const called = await page.evaluate(async ({ inference, trainer, encoded }) => {
  const { Code, ConnectError, createClient } = await import('@connectrpc/connect');
  const { createConnectTransport } = await import('@connectrpc/connect-web');
  const { InferenceService } = await import('/gen/digits/v1/inference_pb.js');
  const { TrainingService } = await import('/gen/digits/v1/training_pb.js');
  const bytes = Uint8Array.from(atob(encoded), (byte) => byte.charCodeAt(0));
  const results = [];
  for (const useBinaryFormat of [false, true]) {
    const client = (service, baseUrl) => createClient(service, createConnectTransport({ baseUrl, useBinaryFormat }));
    const images = { case: 'pictures', value: { encoded: [bytes] } };
    const answer = await client(InferenceService, inference).predict({ images, topK: 1 }, { timeoutMs: 30_000 });
    const { jobs } = await client(TrainingService, trainer).listJobs({});
    const events = [];
    for await (const { event } of client(TrainingService, trainer).watchJob({ jobId: jobs[0].jobId })) events.push(event.case);
    const code = await client(InferenceService, inference).predict({ model: 'letters' })
      .then(() => 'answered', (error) => Code[ConnectError.from(error).code]);
    const late = await client(InferenceService, inference).predict({ images }, { headers: { 'connect-timeout-ms': '0' } })
      .then(() => 'answered', (error) => Code[ConnectError.from(error).code]);
    const streamed = [];
    try {
      for await (const { event } of client(TrainingService, trainer).watchJob({ jobId: 'none' })) streamed.push(event.case);
    } catch (error) {
      streamed.push(Code[ConnectError.from(error).code]);
    }
    results.push({
      label: answer.predictions[0].label, sequence: String(answer.servedBy.sequence), last: events.at(-1),
      count: events.length, code, late, streamed,
    });
  }
  return results;
}, { inference, trainer, encoded });
for (const result of called) {
  assert.match(result.label, /^\d$/);
  assert.ok(Number(result.sequence) > 0);
  assert.equal(result.last, 'finished');
  assert.ok(result.count > 3, `${result.count} events`);
  assert.equal(result.code, 'NotFound');
  assert.equal(result.late, 'DeadlineExceeded');
  assert.match(result.streamed.join(), /^(NotFound|InvalidArgument)$/);
}
assert.deepEqual(called[0], called[1]);

// The page that describes the methods.
for (const address of [inference, trainer]) {
  const faults = [];
  const described = await browser.newPage();
  described.on('pageerror', (error) => faults.push(error.message));
  described.on('console', (message) => { if (message.type() === 'error') faults.push(message.text()); });
  await described.goto(`${address}/api`);
  await until('the methods are listed', async () => (await described.locator('details.method').count()) > 3);
  const method = address === inference ? 'GetModel' : 'ListPresets';
  const details = described.locator('details.method', { has: described.getByText(method, { exact: true }) });
  await details.locator('summary').first().click();
  await details.getByRole('button', { name: 'Send' }).click();
  await until('it is answered', async () => /HTTP 200/.test(await details.locator('pre').innerText()));
  await details.locator('dl summary').first().click();
  await until('the fields within are listed', async () => (await details.locator('dl dl dt').count()) > 2);
  assert.deepEqual(faults, []);
}
await browser.close();
pages.close();
console.log('all is well');
process.exit(0);
