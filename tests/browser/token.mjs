// Tests the token field on the page of either service: `token.mjs ADDRESS TOKEN ID`; the element ID
// gets text once calls succeed.

import assert from 'node:assert/strict';
import { launch, open, until } from './browser.mjs';

const [address, token, id] = process.argv.slice(2);
const browser = await launch();
const { context, page, faults, text } = await open(browser, address);
const field = page.locator('#token input');

await field.waitFor();
assert.equal(await page.evaluate(() => document.activeElement.type), 'password', 'the field has the focus');
assert.match(await page.locator('#token label').innerText(), /needs a token/);
await field.fill('wrong');
await field.press('Enter');
await until('the wrong one is refused', async () => /does not know/.test(await page.locator('#token').innerText().catch(() => '')));
await field.fill(token);
await page.locator('#token button').click();
await until('it answers', async () => (await text(id)) !== '');
await until('the field is gone', async () => (await field.count()) === 0);

// The tab remembers it, and its address does not show it.
await page.reload();
await until('it answers again', async () => (await text(id)) !== '');
assert.equal(await field.count(), 0);
assert.ok(!page.url().includes(token));
const other = await context.newPage();
await other.goto(`${address}/`);
await other.locator('#token input').waitFor();
assert.deepEqual(faults.filter((fault) => !fault.includes('401')), []);
await browser.close();
console.log('all is well');
process.exit(0);
