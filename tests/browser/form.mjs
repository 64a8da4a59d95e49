// Tests the form of a new job: that it has every field, what it sends, and what it refuses.

import assert from 'node:assert/strict';
import { until } from './browser.mjs';

const SCALARS = ['google.protobuf.Duration', 'digits.v1.JobSpec.LabelsEntry'];

/** The paths of all fields of a message that have no fields of their own, by the descriptions of the wire. */
function leaves(messages, message, path = '') {
  return Object.values(messages[message]).flatMap(([name, type]) => {
    const inner = messages[type] && !SCALARS.includes(type) ? messages[type] : null;
    return inner && Object.keys(inner).length > 0 ? leaves(messages, type, `${path}${name}.`) : inner ? [] : [path + name];
  });
}

/** JSON with a value in every field; of each oneof its member number `nth`. */
function sample(fields, nth) {
  const values = {
    text: () => 'notebook', whole: () => 7, number: () => 0.25, bool: () => true, list: () => [3, 4], duration: () => '90.5s',
    map: () => ({ team: 'a, b=c', owner: 'ada' }), choice: ({ values }) => values.at(-1).name, group: ({ fields }) => sample(fields, nth),
  };
  return Object.fromEntries(fields.map((field) => (field.kind === 'one' ? field.fields[nth % field.fields.length] : field))
    .map((field) => [field.name, values[field.kind](field)]));
}

const input = (page, path) => page.locator(`#field-${path.replaceAll('.', '-')}`);
const refusal = (page) => page.locator('#refused').innerText();
const train = (page) => page.getByRole('button', { name: 'Train', exact: true }).click();

export async function form(page, { call, row }) {
  await page.locator('summary', { hasText: 'All fields' }).click();
  await everyField(page);
  await json(page);
  await refused(page);
  await sent(page, { call, row });
}

/** A field of the proto has an input by itself. */
async function everyField(page) {
  const { messages } = await page.evaluate(async () => (await fetch('/page/messages.json')).json());
  const shown = await page.locator('#submit .field[data-path]').evaluateAll((all) => all.map((one) => one.dataset.path));
  const ones = ['data.split', 'optimizer', 'schedule'];
  assert.deepEqual(shown.sort(), [...leaves(messages, 'digits.v1.JobSpec'), ...ones].sort());
  const help = await page.locator('#field-sgd-momentum').evaluate((input) => input.getAttribute('aria-describedby').split(' ').map((id) => document.getElementById(id).textContent).join(''));
  assert.match(help, /^Momentum, from 0 to less than 1\./);
  // Unset fields show what the preset has.
  await input(page, 'preset').selectOption('accurate');
  assert.equal(await input(page, 'epochs').getAttribute('placeholder'), '50');
  assert.equal(await input(page, 'architecture.hidden.widths').getAttribute('placeholder'), '1000, 500');
  assert.match(await input(page, 'schedule').locator('option').first().textContent(), /^cosine \(preset\)/);
  await input(page, 'preset').selectOption('notebook');
}

/** JSON fills the form, and the form is the same JSON. */
async function json(page) {
  const text = page.locator('textarea[data-part="json"]');
  await page.locator('summary', { hasText: 'as JSON' }).click();
  const fields = await page.evaluate(async () => (await fetch('/page/form.json')).json());
  for (let nth = 0; nth < 4; nth += 1) {
    const spec = sample(fields, nth);
    await text.fill(JSON.stringify(spec));
    await text.blur();
    assert.deepEqual(JSON.parse(await text.inputValue()), spec);
    assert.equal(await input(page, 'limits.deadline').inputValue(), '90.5 s');
  }
  for (const [wrong, reason] of [
    ['{"epocs": 3}', 'epocs: is not a field of the spec'], ['{"sgd": {"momentum": "x"}}', 'sgd.momentum: must be a number, not "x"'],
    ['{"epochs": 1.5}', 'epochs: must be a whole number, not 1.5'], ['{"sgd": {}, "adamw": {}}', 'optimizer: has both sgd and adamw'],
    ['{', 'The JSON: '],
  ]) {
    await text.fill(wrong);
    await text.blur();
    await until(reason, async () => (await page.locator('#json-error').innerText()).startsWith(reason));
  }
  await train(page);
  await until('the refusal', async () => (await refusal(page)).startsWith('The JSON '));
  assert.equal(await text.getAttribute('aria-invalid'), 'true');
  await page.getByRole('button', { name: 'Reset' }).click();
  assert.deepEqual(JSON.parse(await text.inputValue()), { preset: 'notebook' });
}

/** What a field cannot hold is refused by its name before it is sent; what the trainer refuses, at its field. */
async function refused(page) {
  const asked = [];
  const note = (request) => asked.push(new URL(request.url()).pathname);
  page.on('request', note);
  await input(page, 'epochs').fill('1.5');
  await train(page);
  await until('the refusal', async () => (await refusal(page)) === 'epochs must be a whole number, not 1.5');
  assert.ok(!asked.some((path) => path.endsWith('/SubmitJob')));
  await input(page, 'epochs').fill('5000000000');
  await train(page);
  await until('the refusal', async () => (await refusal(page)) === 'epochs must be at most 4,294,967,295, not 5000000000');
  page.off('request', note);

  await input(page, 'epochs').fill('2');
  await page.locator('.group > summary', { hasText: 'optimizer' }).click();
  await input(page, 'sgd.learning_rate').fill('-1');
  await page.locator('.group > summary', { hasText: 'optimizer' }).click();
  await train(page);
  await until('the refusal', async () => (await refusal(page)) === 'sgd.learning_rate must be more than 0 and at most 100, not -1');
  const rate = input(page, 'sgd.learning_rate');
  await until('its field', () => rate.evaluate((element) => element === document.activeElement));
  assert.equal(await page.locator('#field-sgd-learning_rate-error').innerText(), 'sgd.learning_rate must be more than 0 and at most 100, not -1');
  assert.equal(await rate.getAttribute('aria-invalid'), 'true');
  await page.getByRole('button', { name: 'Reset' }).click();
  assert.equal(await page.locator('#refused').isVisible(), false);
}

/** Only what was changed is sent, and a clone asks for the same. */
async function sent(page, { call, row }) {
  await page.locator('.group').evaluateAll((groups) => groups.forEach((group) => { group.open = true; }));
  await input(page, 'name').fill('from-the-form');
  await input(page, 'data.dataset').selectOption('synthetic');
  await input(page, 'epochs').fill('1');
  await input(page, 'data.synthetic.train_images').fill('1,000');
  await input(page, 'architecture.hidden.widths').fill('none');
  await input(page, 'schedule').selectOption('one_cycle');
  await input(page, 'labels').fill('team=a, b=c\nowner=ada');
  await input(page, 'limits.deadline').fill('1 h 30 min');
  await input(page, 'calibrate').selectOption('yes');
  await train(page);
  await until('the job', async () => (await row(page, 'from-the-form').count()) === 1);
  const requested = async () => {
    const { jobs: [job] } = await call(page, 'ListJobs', { page_size: 1 });
    const set = (value) => (typeof value !== 'object' || value === null ? value : Array.isArray(value) ? value.map(set)
      : Object.fromEntries(Object.entries(value).filter(([, one]) => one !== null && one !== '' && one !== 0).map(([key, one]) => [key, set(one)])));
    const labels = Object.fromEntries(job.requested.labels.map(({ key, value }) => [key, value]));
    return { id: job.job_id, spec: { ...set(job.requested), labels } };
  };
  const first = await requested();
  assert.deepEqual(first.spec, {
    preset: 'notebook', name: 'from-the-form', epochs: 1, data: { dataset: 'synthetic', synthetic: { train_images: 1000 } },
    labels: { owner: 'ada', team: 'a, b=c' }, architecture: { hidden: { widths: [] } },
    one_cycle: {}, limits: { deadline: { seconds: 5400 } }, calibrate: 1,
  });

  await page.getByRole('button', { name: 'Reset' }).click();
  await until('the opened job', async () => (await page.locator('#detail-title').innerText()) === 'from-the-form');
  await page.locator('#clone').click();
  await until('the form', async () => (await input(page, 'name').inputValue()) === 'from-the-form');
  assert.ok(await input(page, 'name').evaluate((element) => element === document.activeElement), 'the name is next to be changed');
  await train(page);
  await until('the clone', async () => (await row(page, 'from-the-form').count()) === 2);
  const second = await requested();
  assert.notEqual(second.id, first.id);
  assert.deepEqual(second.spec, first.spec);
}
