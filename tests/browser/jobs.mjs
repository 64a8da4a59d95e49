// Tests the trainer's page with forty jobs, one of which diverged: the list, links, curves and
// differences. `jobs.mjs ADDRESS`; the trainer has no jobs yet.

import assert from 'node:assert/strict';
import { launch, open, screenshot, until } from './browser.mjs';
import { contrast, nearest } from './colours.mjs';
import { form } from './form.mjs';

const [address] = process.argv.slice(2);
const browser = await launch();
const JOBS = 40;
/** In the order of submission. */
const DIVERGED = 32, CANCELLED = 39;
const WIDE = { viewport: { width: 1440, height: 900 } };

/** Calls a method of the trainer with the page's own client. */
const call = (page, method, request) => page.evaluate(async ([method, request]) => (
  (await import('/page/calls.js')).call(method, request)), [method, request]);

const name = (number) => (number === DIVERGED ? 'rate-too-high' : `sweep-${String(number).padStart(2, '0')}`);

function spec(number) {
  const isDiverged = number === DIVERGED;
  return {
    preset: 'notebook', name: name(number), epochs: number === CANCELLED ? 1000 : 3, seed: number, generator_skip: 0,
    labels: [{ key: 'owner', value: number % 2 ? 'ada' : 'karl' }], promotion: 3,
    data: { dataset: 'synthetic', counts: { train: 1000, validation: 300 }, synthetic: { train_images: 1300, test_images: 100, seed: 1 } },
    architecture: { hidden: { widths: number % 2 ? [32] : [64, 16] } },
    sgd: isDiverged ? { learning_rate: 2.3, momentum: 0, weight_decay: 1 } : { learning_rate: [0.05, 0.02, 0.1][number % 3] },
    evaluation: { every_steps: 2 }, publish: { policy: 3 },
  };
}

const rows = (page) => page.locator('#list > tr[data-job]');
const row = (page, wanted) => rows(page).filter({ has: page.getByRole('button', { name: wanted, exact: true }) });
const names = (page) => rows(page).locator('td:nth-child(2) .link').allInnerTexts();
const strokes = (page, kind) => page.locator(`#loss .line.${kind}`).evaluateAll((lines) => lines.map((line) => getComputedStyle(line).stroke));
const text = (page, selector) => page.locator(selector).evaluate((element) => element.innerText ?? element.textContent);

/** Submits the jobs; returns a page on which they all have ended. */
async function fill() {
  const opened = await open(browser, address, { ...WIDE, colorScheme: 'light' });
  const { page } = opened;
  await until('an empty list', () => page.locator('#none').isVisible());
  for (let number = 1; number <= JOBS; number += 1) await call(page, 'SubmitJob', { request_id: `job-${number}`, spec: spec(number) });
  await until('all rows', async () => (await rows(page).count()) === JOBS);
  await row(page, name(CANCELLED)).getByRole('button', { name: `Cancel ${name(CANCELLED)}` }).click();
  await page.getByRole('button', { name: 'Yes', exact: true }).click();
  await until('their end', async () => (await text(page, '#counts')) === '0 running, 0 queued, 40 jobs');
  return opened;
}

/** Counts, search, filter and order concern all jobs, not those of a page of the list. */
async function list(page) {
  const chips = async () => (await page.locator('#states .chip').allInnerTexts()).join(', ');
  assert.equal(await chips(), 'all 40, running 0, queued 0, succeeded 38, failed 1, cancelled 1');
  assert.deepEqual(await names(page), Array.from({ length: JOBS }, (_, index) => name(JOBS - index)));

  await page.locator('#search').fill('owner=ada sweep-1');
  await until('what matches', async () => (await names(page)).join() === 'sweep-19,sweep-17,sweep-15,sweep-13,sweep-11');
  assert.equal(await text(page, '#shown'), '5 of 5 that match, of 40 jobs');
  await page.locator('#search').fill('nothing like it');
  await until('nothing', async () => (await text(page, '#shown')) === 'None of 40 jobs matches.');
  await page.locator('#search').fill('');

  await page.getByRole('button', { name: 'failed 1' }).click();
  await until('the diverged one', async () => (await names(page)).join() === name(DIVERGED));
  await page.getByRole('button', { name: 'all 40' }).click();

  const accuracies = async () => (await page.locator('#list > tr > td:nth-child(5)').allInnerTexts()).filter(Boolean).map(parseFloat);
  await page.locator('th').getByRole('button', { name: 'Accuracy' }).click();
  await until('the order', async () => { const all = await accuracies(); return all.every((one, index) => index === 0 || one <= all[index - 1]); });
  assert.equal(await page.locator('th[data-sort="accuracy"]').getAttribute('aria-sort'), 'descending');
  await page.locator('th').getByRole('button', { name: 'Accuracy' }).click();
  await until('the other order', async () => { const all = await accuracies(); return all.every((one, index) => index === 0 || one >= all[index - 1]); });
  assert.equal(await page.locator('#sort').inputValue(), '-accuracy');
  await page.locator('#sort').selectOption('oldest');
  await until('the oldest first', async () => (await names(page))[0] === name(1));
  await page.locator('#sort').selectOption('newest');
}

/** Whether an element is in the window, at least with its upper edge. */
const isInView = (page, selector) => page.locator(selector).evaluate((element) => {
  const { top } = element.getBoundingClientRect();
  return top >= 0 && top < innerHeight;
});

/** The details of a job far down the list are where the user looks. */
async function farDown(page) {
  await row(page, name(2)).scrollIntoViewIfNeeded();
  await row(page, name(2)).getByRole('button', { name: name(2), exact: true }).click();
  await until('its details', async () => (await text(page, '#detail-title')) === name(2));
  assert.ok(await isInView(page, '#detail-title'), 'the details are in view');
  assert.ok(await isInView(page, '#loss'), 'the curves are in view');
  assert.ok(await page.evaluate(() => scrollY) > 500, 'the page stays where it is');
  assert.equal(await page.locator('[aria-current="true"]').innerText(), name(2));
}

async function curves(page) {
  for (const number of [3, 4, DIVERGED]) await row(page, name(number)).getByRole('checkbox').check();
  await until('four jobs', async () => (await strokes(page, 'validation')).length === 4);
  const drawn = await strokes(page, 'validation');
  assert.equal(new Set(drawn).size, 4, 'a colour for each');
  const keys = await page.locator('#legend .key').evaluateAll((keys) => keys.map((key) => getComputedStyle(key).backgroundColor));
  assert.deepEqual(keys, drawn, 'the legend has the colours of the lines');
  assert.deepEqual(await page.locator('#legend .link').allInnerTexts(), [2, 3, 4, DIVERGED].map(name));

  // The diverged job neither stretches the axis nor vanishes.
  assert.match(await text(page, '#loss .cut'), /up to \d\.?\d*e\d+/);
  assert.equal(await page.locator('#loss .ended').count(), 1);
  const ticks = async (chart) => (await page.locator(`#${chart} .tick.y`).allTextContents()).map(parseFloat);
  assert.ok(Math.max(...await ticks('loss')) < 10, 'the axis is that of the other jobs');
  assert.equal(Math.max(...await ticks('accuracy')), 100);
  const top = await page.locator('#accuracy .grid').evaluateAll((lines) => Math.min(...lines.map((line) => Number(line.getAttribute('y1')))));
  assert.equal(top, 12, 'nothing is above 100 %');

  // On a log scale equal ratios are equally far apart.
  await page.getByRole('checkbox', { name: 'log scale' }).check();
  const slopes = async () => {
    const at = await page.locator('#loss .tick.y').evaluateAll((ticks) => ticks.map((tick) => [Math.log(Number(tick.textContent)), Number(tick.getAttribute('y'))]));
    return at.slice(1).map(([value, y], index) => (y - at[index][1]) / (value - at[index][0]));
  };
  await until('the log scale', async () => (await slopes()).length > 1 && Math.max(...await slopes()) - Math.min(...await slopes()) < 1);
  // Smoothing: the measured curve stays, faintly.
  const path = (kind) => page.locator(`#loss .${kind}.validation`).first().getAttribute('points');
  const measured = await path('line');
  assert.equal(await page.locator('#loss .faint').count(), 0);
  await page.locator('#smooth').fill('0.8');
  await until('the measured curves', async () => (await page.locator('#loss .faint').count()) === 8);
  assert.equal(await path('faint'), measured);
  assert.notEqual(await path('line'), measured);
  assert.equal(await text(page, '#smooth-value'), '0.80');

  // The cross-hair by keyboard, and what a screen reader reads there.
  await page.locator('#loss svg').focus();
  await page.keyboard.press('Home');
  await until('the first step', async () => /nearest to step 0\./.test(await text(page, '#reading')));
  assert.match(await page.locator('#loss svg').getAttribute('aria-valuetext'), /sweep-02: step 1, train/);
}

async function differences(page) {
  const table = async () => (await page.locator('#diff-table tr').evaluateAll((rows) => rows.map((row) => [...row.cells].map((cell) => cell.textContent).join('|'))));
  const [head, ...lines] = await table();
  assert.equal(head, ['', ...[2, 3, 4, DIVERGED].map(name)].join('|'));
  assert.ok(lines.includes('sgd.learning_rate|0.1|0.05|0.02|2.3'), lines.join('\n'));
  assert.ok(lines.includes('architecture.hidden.widths|64, 16|32|64, 16|64, 16'), lines.join('\n'));
  assert.ok(lines.some((line) => line.startsWith('seed|2|3|4|')));
  assert.ok(!lines.some((line) => /^(batch_size|name|data)/.test(line)), 'what is equal is left out');
}

/** A link shows the same, and the browser's history leads back. */
async function links(page) {
  const before = await strokes(page, 'validation');
  const { page: other, context, faults } = await open(browser, address, WIDE, new URL(page.url()).hash);
  await until('the job of the link', async () => (await text(other, '#detail-title')) === name(2));
  await until('its curves', async () => (await strokes(other, 'validation')).length === 4);
  assert.deepEqual(await strokes(other, 'validation'), before, 'the same colours');
  assert.equal(await other.getByRole('checkbox', { name: 'log scale' }).isChecked(), true);
  assert.equal(await other.locator('#smooth').inputValue(), '0.8');
  await until('its row in view', () => isInView(other, '#list tr.opened'));
  assert.equal(await other.title(), `${name(2)} · digits trainer`);
  await row(other, name(4)).getByRole('button', { name: name(4), exact: true }).click();
  await until('another job', async () => (await text(other, '#detail-title')) === name(4));
  await other.goBack();
  await until('the job before', async () => (await text(other, '#detail-title')) === name(2));
  assert.deepEqual(faults, []);
  await other.goto(`${address}/#job=00000000-0000-7000-8000-000000000000`);
  await other.reload();
  await until('the notice', async () => /no such job|not found|no job/i.test(await text(other, '#notice')));
  await context.close();
}

/** On a narrow screen the details unfold below the row that was pressed. */
async function narrow(width) {
  const { page, context, faults } = await open(browser, address, { viewport: { width, height: 844 }, hasTouch: true });
  await until('the jobs', async () => (await rows(page).count()) === JOBS);
  assert.equal(await page.locator('#detail').isVisible(), false, 'the list comes first');
  // As in browsers that do not keep the place by themselves.
  await page.evaluate(() => { document.documentElement.style.overflowAnchor = 'none'; });
  await row(page, name(30)).getByRole('button', { name: name(30), exact: true }).click();
  await until('a job above', async () => (await text(page, '#detail-title')) === name(30));
  const link = row(page, name(9)).getByRole('button', { name: name(9), exact: true });
  await link.scrollIntoViewIfNeeded();
  const place = () => link.evaluate((element) => Math.round(element.getBoundingClientRect().top));
  const before = await place();
  await link.click();
  await until('its details', async () => (await text(page, '#detail-title')) === name(9));
  assert.ok(Math.abs(await place() - before) <= 2, 'the row stays under the finger');
  assert.equal(await link.getAttribute('aria-expanded'), 'true');
  const below = await page.locator('#list > tr.opened + tr #detail').count();
  assert.equal(below, 1, 'the details are below the row');
  await link.click();
  await until('the details folded', async () => !(await page.locator('#detail').isVisible()));
  assert.deepEqual(faults, []);
  await context.close();
}

/** What is named, and that nothing sticks out, at three widths in both themes. */
async function looks(hash) {
  for (const [width, height] of [[1440, 900], [1000, 800], [390, 844]]) {
    for (const colorScheme of ['light', 'dark']) {
      const { page, context, faults } = await open(browser, address, { viewport: { width, height }, colorScheme }, hash);
      await until('the curves', async () => (await strokes(page, 'validation')).length === 4);
      await until('the counts', async () => /40 jobs/.test(await text(page, '#counts')));
      await page.locator('summary').evaluateAll((all) => all.forEach((summary) => { summary.parentElement.open = true; }));
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(wide <= 0, `${wide} pixels stick out at ${width}`);
      const nameless = await page.locator('input, select, textarea, button').evaluateAll((all) => all.filter((one) => (
        !one.hidden && !one.labels?.length && !one.ariaLabel && !one.textContent.trim())).map((one) => one.outerHTML));
      assert.deepEqual(nameless, []);
      const [sheet, ...palette] = await page.evaluate(() => ['sheet', ...Array(8).keys()].map((key) => (
        getComputedStyle(document.documentElement).getPropertyValue(key === 'sheet' ? '--sheet' : `--run-${key}`))));
      for (const colour of palette) assert.ok(contrast(colour, sheet) >= 3, `${colour} is hardly seen in ${colorScheme}`);
      const { pair, vision, distance } = nearest(palette);
      assert.ok(distance > 0.12, `${pair.join(' and ')} are alike for ${vision}: ${distance}`);
      await page.locator('summary').evaluateAll((all) => all.forEach((summary) => { summary.parentElement.open = false; }));
      await screenshot(page, `jobs-${width}-${colorScheme}`, { fullPage: false });
      assert.deepEqual(faults, []);
      await context.close();
    }
  }
}

try {
  const { page, context, faults } = await fill();
  await list(page);
  await farDown(page);
  await curves(page);
  await differences(page);
  await links(page);
  await looks(new URL(page.url()).hash);
  await narrow(1000);
  await narrow(390);
  await form(page, { call, row });
  assert.deepEqual(faults, []);
  await context.close();
} finally {
  await browser.close();
}
console.log('all is well');
process.exit(0);
