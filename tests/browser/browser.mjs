// Shared by the tests of the pages: a headless Chromium that fails the test on any error of the
// page.

import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const { chromium } = createRequire(import.meta.url)(process.env.DIGITS_PLAYWRIGHT);
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const PATIENCE = Number(process.env.PATIENCE_MS ?? 60_000);

export async function launch() {
  return chromium.launch({
    executablePath: process.env.DIGITS_CHROMIUM,
    args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
      '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
}

/** Requests an action from the test that started the script, and waits for its result. */
export async function want(what) {
  console.log(what);
  return (await lines.next()).value;
}

/** Polls until `check` gives something true. */
export async function until(what, check) {
  const end = Date.now() + PATIENCE;
  for (;;) {
    const value = await check();
    if (value) return value;
    assert.ok(Date.now() < end, `${what} did not happen`);
    await new Promise((done) => setTimeout(done, 20));
  }
}

/** A page whose errors are kept in `faults`; `hash` is the end of its address. */
export async function open(browser, address, options = {}, hash = '') {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  const faults = [];
  page.on('pageerror', (error) => faults.push(`error: ${error.message}`));
  page.on('console', (message) => {
    // That is a warning about the tests' own reading of a canvas.
    if (message.text().startsWith('Canvas2D: Multiple readback')) return;
    if (['error', 'warning'].includes(message.type())) faults.push(`console: ${message.text()}`);
  });
  page.on('request', (request) => {
    if (new URL(request.url()).origin !== address) faults.push(`foreign address: ${request.url()}`);
  });
  await page.goto(`${address}/${hash}`);
  return { context, page, faults, text: (id) => page.locator(`#${id}`).innerText() };
}

export async function screenshot(page, name, { fullPage = true } = {}) {
  const folder = process.env.DIGITS_SCREENSHOTS;
  mkdirSync(folder, { recursive: true });
  await page.screenshot({ path: join(folder, `${name}.png`), fullPage });
}
