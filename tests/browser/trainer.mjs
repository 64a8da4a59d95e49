// Tests the page of the trainer: `trainer.mjs ADDRESS`.

import assert from 'node:assert/strict';
import { launch, open, screenshot, until } from './browser.mjs';

const [address] = process.argv.slice(2);
const browser = await launch();

/** How many points the line of a kind has, for each job that is drawn. */
const points = (page, kind) => page.locator(`.line.${kind}`).evaluateAll(
  (lines) => lines.map((line) => Number(line.dataset.points)));

const row = (page, name) => page.locator('#list > tr[data-job]').filter({ has: page.getByRole('button', { name, exact: true }) });
const stateOf = (page, name) => row(page, name).locator('.state').innerText();

async function submit(page, name, fields = {}) {
  await page.locator('#field-preset').selectOption('notebook');
  await page.locator('#field-name').fill(name);
  for (const id of ['epochs', 'seed']) await page.locator(`#field-${id}`).fill(String(fields[id] ?? ''));
  await page.getByRole('button', { name: 'Train', exact: true }).click();
  await until(`the job ${name}`, async () => (await row(page, name).count()) === 1);
}

const answerYes = (page) => page.getByRole('button', { name: 'Yes', exact: true }).click();

async function desktop() {
  const { context, page, faults, text } = await open(browser, address, { viewport: { width: 1360, height: 900 }, colorScheme: 'light' });
  await until('the presets', async () => (await page.getByRole('button', { name: 'Train', exact: true }).isEnabled()));
  await until('an empty list', () => page.locator('#none').isVisible());

  await submit(page, 'notebook-run');
  await until('its end', async () => (await stateOf(page, 'notebook-run')) === 'succeeded');
  await until('all 45 rows', async () => (await points(page, 'validation')).join() === '45');
  assert.equal((await points(page, 'train')).join(), '45');
  assert.equal((await points(page, 'accuracy')).join(), '45');
  await until('the test figures', async () => (await text('facts')).includes('mean over batches 0.351287'));
  assert.match(await row(page, 'notebook-run').innerText(), /8\d\.\d\d %/);

  await page.getByText('Resolved spec', { exact: true }).click();
  const spec = await text('spec');
  assert.match(spec, /sgd\.learning_rate\s+0\.001/);
  assert.match(spec, /architecture\.hidden\.widths\s+10/);
  assert.match(spec, /generator_skip\s+15,962/);

  // Two jobs over each other, each in its colour.
  await submit(page, 'seed-one', { seed: 1, epochs: 2 });
  await until('its end', async () => (await stateOf(page, 'seed-one')) === 'succeeded');
  await until('what it replaced', async () => /accuracy \d+\.\d\d %\) replaced .*digits rollback --to 5$/s.test(await text('promotion')));
  await row(page, 'notebook-run').getByRole('checkbox').check();
  await until('both', async () => (await points(page, 'validation')).sort().join() === '18,45');
  const styles = (kind, name) => page.locator(`.line.${kind}`).evaluateAll((lines, name) => lines.map((line) => getComputedStyle(line)[name]), name);
  const colours = await styles('validation', 'stroke');
  assert.equal(new Set(colours).size, 2, colours.join(' and '));
  assert.deepEqual(await styles('train', 'stroke'), colours, 'train and validation of a job have its colour');
  assert.notDeepEqual(await styles('train', 'strokeDasharray'), await styles('validation', 'strokeDasharray'));
  await page.locator('#loss svg').hover({ position: { x: 300, y: 100 } });
  await until('the figures under the pointer', async () => /nearest to step \d/.test(await text('reading')));
  assert.match(await text('legend'), /seed-one\s+\d,?\d+\s+[012]\.\d{4}\s+[012]\.\d{4}\s+\d+\.\d\d %/);
  await screenshot(page, 'trainer-light');

  await serving(page, text);
  await live(page);
  await refused(page);
  await page.emulateMedia({ colorScheme: 'dark' });
  await screenshot(page, 'trainer-dark');
  assert.deepEqual(faults, []);
  await context.close();
}

/** Promote, roll back, release. */
async function serving(page, text) {
  const version = async () => Number(/Version (\d+)/.exec(await text('head'))?.[1]);
  const before = await version();
  assert.match(await text('head'), /promoted by the policy/);
  await page.getByRole('button', { name: 'Promote the checkpoint of epoch 1' }).click();
  await answerYes(page);
  await until('the promotion', async () => (await version()) === before + 1);
  assert.match(await text('head'), /held/);
  await until('its part', async () => (await page.locator('#checkpoints .role').allInnerTexts()).join() === 'primary');
  await page.getByRole('button', { name: 'Roll back' }).click();
  await answerYes(page);
  await until('the way back', async () => (await version()) === before + 2);
  assert.match(await text('records'), /rolled back, held/);
  await page.getByRole('button', { name: 'Release the hold' }).click();
  await until('the release', async () => (await version()) === before + 3);
  assert.match(await text('head'), /promoted by the policy/);
}

/** A long job: its curve grows while it is shown, and cancelling ends it. */
async function live(page) {
  await submit(page, 'long', { epochs: 5000 });
  await until('its training', async () => (await stateOf(page, 'long')) === 'running');
  await until('a curve', async () => (await points(page, 'validation'))[0] > 5);
  const [first] = await points(page, 'validation');
  await until('a longer one', async () => (await points(page, 'validation'))[0] > first + 10);
  await screenshot(page, 'trainer-live');
  await row(page, 'long').getByRole('button', { name: 'Cancel long' }).click();
  await page.getByRole('button', { name: 'No', exact: true }).click();
  assert.equal(await stateOf(page, 'long'), 'running');
  await row(page, 'long').getByRole('button', { name: 'Cancel long' }).click();
  await answerYes(page);
  await until('its end', async () => (await stateOf(page, 'long')) === 'cancelled');
  await until('the mark of its checkpoints', async () => (await page.locator('#checkpoints .mark').first().innerText()) === 'job cancelled');
}

/** A value that the trainer refuses is marked at its field, and nothing is submitted. */
async function refused(page) {
  await page.locator('#field-name').fill('too-long');
  await page.locator('#field-epochs').fill('10001');
  await page.getByRole('button', { name: 'Train', exact: true }).click();
  await until('the reason', async () => /^epochs must be/.test(await page.locator('#refused').innerText()));
  assert.equal(await page.locator('#field-epochs').getAttribute('aria-invalid'), 'true');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'field-epochs');
  assert.equal(await row(page, 'too-long').count(), 0);
}

async function phone() {
  const { context, page, faults, text } = await open(browser, address, {
    viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true, deviceScaleFactor: 2,
  });
  await until('the jobs', async () => (await page.locator('#list > tr').count()) === 3);
  await row(page, 'seed-one').getByRole('button', { name: 'seed-one', exact: true }).tap();
  await until('its details', async () => (await text('detail-title')) === 'seed-one');
  await until('its curve', async () => (await points(page, 'validation')).join() === '18');
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  assert.ok(wide <= 0, `${wide} pixels stick out`);
  await screenshot(page, 'trainer-phone');
  assert.deepEqual(faults, []);
  await context.close();
}

async function keyboard() {
  const { context, page, faults, text } = await open(browser, address, { viewport: { width: 1360, height: 900 } });
  await until('the jobs', async () => (await page.locator('#list > tr').count()) === 3);
  const name = row(page, 'notebook-run').getByRole('button', { name: 'notebook-run', exact: true });
  for (let n = 0; n < 60 && !(await name.evaluate((button) => button === document.activeElement)); n += 1) await page.keyboard.press('Tab');
  assert.equal(await name.evaluate((button) => getComputedStyle(button).outlineStyle), 'solid', 'the focus is seen');
  await page.keyboard.press('Enter');
  await until('its details', async () => (await text('detail-title')) === 'notebook-run');
  assert.ok(await name.evaluate((button) => button === document.activeElement), 'the focus stays');
  assert.deepEqual(faults, []);
  await context.close();
}

try {
  await desktop();
  await phone();
  await keyboard();
} finally {
  await browser.close();
}
console.log('all is well');
process.exit(0);
