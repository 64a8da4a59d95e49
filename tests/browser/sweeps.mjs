// Tests the sweeps on the page of the trainer: `sweeps.mjs ADDRESS`.

import assert from 'node:assert/strict';
import { launch, open, screenshot, until, want } from './browser.mjs';

const [address] = process.argv.slice(2);
const browser = await launch();

const answerYes = (page) => page.getByRole('button', { name: 'Yes', exact: true }).click();
const rows = (page) => page.locator('#trials > tbody > tr');

async function none() {
  const { context, page, faults } = await open(browser, address, { viewport: { width: 1360, height: 900 } });
  await until('the empty list', () => page.locator('#none').isVisible());
  assert.equal(await page.locator('#sweeps').isVisible(), false, 'without a sweep there is no section');
  assert.deepEqual(faults, []);
  await context.close();
}

/** Table, chart, the job of a trial, and the promotion of the best one. */
async function results() {
  const best = JSON.parse(await want('a sweep that has ended'));
  const { context, page, faults, text } = await open(browser, address, { viewport: { width: 1360, height: 900 }, colorScheme: 'light' });
  await until('the trials', async () => (await rows(page).count()) === 6);
  assert.equal(await text('sweep-state'), 'succeeded');
  assert.match(await text('sweep-about'), new RegExp(`^6 of 6 trials ended\\. Best: trial ${best.number}, learning_rate `));
  const heads = await page.locator('#trials th').allInnerTexts();
  assert.deepEqual(heads, ['trial', 'learning_rate', 'hidden', 'seed', 'epochs', 'loss', 'accuracy', 'state']);
  const cells = await rows(page).nth(best.number - 1).locator('td').allInnerTexts();
  assert.deepEqual([cells[0], cells[1], cells[2], cells[7]], [String(best.number), ...best.values, 'succeeded, best']);
  assert.match(cells[6], /^\d+\.\d\d %$/);
  assert.equal(await page.locator('#sweep-chart .dot').count(), 6);
  assert.equal(await page.locator('#sweep-chart .group').count(), 3);
  assert.equal(await page.locator('#sweep-chart .group.best').count(), 1);
  const places = await page.locator('#sweep-chart .dot').evaluateAll((all) => all.map((dot) => Number(dot.getAttribute('cx'))));
  assert.equal(new Set(places).size > 1, true, 'the dots are apart');

  await rows(page).nth(1).getByRole('button', { name: 'Open the job of trial 2' }).click();
  await until('its job', async () => (await text('detail-title')) === 'grid/2');
  await screenshot(page, 'sweep-light');
  await page.getByRole('button', { name: 'Promote the best' }).click();
  await answerYes(page);
  await until('the promotion', async () => /^Version 1, held/.test(await text('head')));
  const served = await page.locator('#records li').first().innerText();
  assert.ok(served.includes(best.checkpoint_id.slice(-4)), served);
  const { hash } = new URL(page.url());
  await context.close();
  assert.deepEqual(faults, []);
  return hash;
}

/** A sweep that runs is shown as it goes on; another one can be chosen; a cancellation ends it. */
async function running(hash) {
  await want('a sweep that does not end');
  const { context, page, faults, text } = await open(browser, address, { viewport: { width: 1360, height: 900 }, colorScheme: 'dark' }, hash);
  await until('the newest', async () => (await text('sweep-state')) === 'running');
  await until('its first trial', async () => (await rows(page).first().innerText()).includes('running'));
  assert.equal(await page.locator('#sweep-promote').isDisabled(), true, 'nothing to promote yet');
  assert.equal(await page.locator('#sweep-chart').isVisible(), false);
  await page.locator('#sweep').selectOption({ index: 1 });
  await until('the other one', async () => (await rows(page).count()) === 6);
  assert.match(new URL(page.url()).hash, /sweep=[0-9a-f-]{36}/);
  await page.locator('#sweep').selectOption({ index: 0 });
  await until('the first again', async () => (await rows(page).count()) === 2);
  await page.locator('#sweep-cancel').click();
  await answerYes(page);
  await until('its end', async () => (await text('sweep-state')) === 'cancelled');
  assert.deepEqual(await rows(page).locator('.state').allInnerTexts(), ['cancelled', 'cancelled']);
  await screenshot(page, 'sweep-dark');
  assert.deepEqual(faults, []);
  await context.close();
}

async function phone() {
  const { context, page, faults } = await open(browser, address, {
    viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true, deviceScaleFactor: 2,
  });
  await until('the sweeps', () => page.locator('#sweeps').isVisible());
  await page.locator('#sweep').selectOption({ index: 1 });
  await until('the trials', async () => (await rows(page).count()) === 6);
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  assert.ok(wide <= 0, `${wide} pixels stick out`);
  await rows(page).first().getByRole('button').tap();
  await until('its job', async () => (await page.locator('#detail-title').innerText()) === 'grid/1');
  await screenshot(page, 'sweep-phone');
  assert.deepEqual(faults, []);
  await context.close();
}

try {
  await none();
  await running(await results());
  await phone();
} finally {
  await browser.close();
}
console.log('all is well');
process.exit(0);
