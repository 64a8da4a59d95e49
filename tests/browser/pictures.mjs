// Tests the pictures of the inference service's page: `pictures.mjs ADDRESS`. The service takes
// messages of at most 1 MiB and pictures of at most 2,000,000 pixels.

import assert from 'node:assert/strict';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { launch, open, screenshot, until } from './browser.mjs';
import { sketch, turned } from './sketch.mjs';

const [address] = process.argv.slice(2);
const browser = await launch();
const seven = await sketch(browser, '7');
const four = await sketch(browser, '4');
const two = await sketch(browser, '2', { type: 'image/png' });
const number = await sketch(browser, '42', { width: 900, height: 600 });
/** Fours are of one piece on their side, too. */
const fours = await sketch(browser, '44', { width: 900, height: 600 });
const blank = await sketch(browser, '', { name: 'blank.jpeg' });
/** The start of an iPhone's picture. */
const heic = { name: 'IMG_0412.HEIC', mimeType: 'image/heic', buffer: Buffer.concat([Buffer.from([0, 0, 0, 24]), Buffer.from('ftypheic\0\0\0\0mif1heic')]) };

/** Opens the page with counters of its object URLs. */
async function view(options) {
  const opened = await open(browser, address, { viewport: { width: 1440, height: 900 }, colorScheme: 'light', ...options });
  const { page, text } = opened;
  await until('the version', async () => (await text('version')) !== '');
  const strip = page.locator('#strip button');
  const captions = () => page.locator('#strip .caption').allInnerTexts();
  const read = (expected) => until(`the answers ${expected}`, async () => (await captions()).join(' ') === expected.join(' '));
  const quiet = async () => {
    assert.deepEqual(opened.faults, []);
    await opened.context.close();
  };
  return { ...opened, strip, captions, read, quiet };
}

/** Several pictures at once, each with a state of its own; what was found is drawn over them. */
async function upload() {
  const { page, text, strip, read, quiet } = await view();
  const inFlight = { now: 0, most: 0 };
  const isPredict = (request) => request.url().endsWith('/Predict');
  page.on('request', (request) => { if (isPredict(request)) inFlight.most = Math.max(inFlight.most, ++inFlight.now); });
  page.on('response', (response) => { if (isPredict(response.request())) inFlight.now -= 1; });
  assert.ok(!(await page.locator('#last').isVisible()), 'nothing was read yet');

  const chooser = page.waitForEvent('filechooser');
  await page.getByRole('button', { name: 'Pictures' }).click();
  await (await chooser).setFiles([seven, number, heic, four, two, blank]);
  await read(['7', '42', 'refused', '4', '2', '–']);
  assert.ok(inFlight.most <= 4, `${inFlight.most} requests at a time, one of them of the drawing`);

  // The first one is in view.
  assert.equal(await text('label'), '7');
  assert.match(await text('words'), /sure$/);
  assert.match(await text('about'), /^7\.jpeg · 480 × 480$/);
  assert.ok(await page.locator('#shown').evaluate((image) => image.complete && image.naturalWidth === 480), 'it is shown');
  assert.ok(!(await page.locator('#paper').isVisible()));
  await until('it is spoken', async () => (await page.locator('#spoken').textContent()).startsWith('7.'));

  await strip.nth(1).click();
  assert.equal(await strip.nth(1).getAttribute('aria-current'), 'true');
  await boxesFit(page, number.boxes, number);
  assert.equal(await text('label'), '42');
  assert.match(await text('words'), /^2 digits, the least sure \d+\.\d.%$/);
  // Each digit has its probabilities: by its box, and by its button.
  const chosen = () => page.locator('#digits button[aria-pressed="true"]').allInnerTexts();
  const first = () => page.locator('#bars li.first .name').innerText();
  assert.deepEqual(await page.locator('#digits button').allInnerTexts(), ['4', '2']);
  assert.deepEqual([await chosen(), await first()], [['4'], '4']);
  await page.locator('#found .box').nth(1).click();
  assert.deepEqual([await chosen(), await first()], [['2'], '2']);
  await page.locator('#digits button').first().click();
  assert.deepEqual([await chosen(), await first()], [['4'], '4']);
  await strip.nth(2).click();
  assert.match(await text('words'), /^The picture is HEIC, which is not supported: convert it to JPEG or PNG; /);
  assert.ok(await page.locator('#undecodable').isVisible(), 'this browser cannot decode it');
  assert.ok(!(await page.locator('#correction').isVisible()), 'there is nothing to report');
  await strip.nth(5).click();
  assert.equal(await text('words'), 'No ink was found in this picture.');

  // Pictures that were removed are gone, and the next one is in view.
  await page.getByRole('button', { name: 'Remove' }).click();
  await read(['7', '42', 'refused', '4', '2']);
  assert.equal(await text('label'), '2');
  await page.getByRole('button', { name: 'Draw' }).click();
  assert.ok(await page.locator('#paper').isVisible());
  assert.equal(await text('words'), 'Nothing is drawn yet.');
  assert.ok(await page.locator('#paper').evaluate((paper) => paper === document.activeElement), 'the paper has the focus');
  await quiet();
}

/** Each box on the screen surrounds its digit, within a tenth of the digit's size. */
async function boxesFit(page, expected, { width, height } = {}) {
  await until('the boxes', async () => (await page.locator('#found .box').count()) === expected.length);
  const shown = await page.locator('#shown').boundingBox();
  const found = await Promise.all((await page.locator('#found .box').all()).map((box) => box.boundingBox()));
  expected.forEach((digit, index) => {
    const [x, y] = [(digit.left + digit.width / 2) / width, (digit.top + digit.height / 2) / height];
    const centre = [found[index].x + found[index].width / 2 - shown.x, found[index].y + found[index].height / 2 - shown.y];
    const limit = 0.1 * (digit.width / width) * shown.width;
    assert.ok(Math.abs(centre[0] - x * shown.width) < limit && Math.abs(centre[1] - y * shown.height) < limit,
      `box ${index} is at ${centre}, its digit at ${x * shown.width},${y * shown.height}`);
  });
}

/** A camera turns the picture by its EXIF orientation: so does the preview, and the boxes with it. */
async function orientation() {
  const { page, text, quiet } = await view();
  await page.setInputFiles('#files', turned(fours, 6, 'turned.jpeg'));
  // A quarter to the right: what was left is above.
  const expected = fours.boxes.map(({ left, top, width, height }) => ({ left: 600 - top - height, top: left, width: height, height: width }));
  await boxesFit(page, expected, { width: 600, height: 900 });
  assert.match(await text('about'), /600 × 900$/);
  await quiet();
}

async function paste() {
  const { context, page, text, read, quiet } = await view();
  await context.grantPermissions(['clipboard-read', 'clipboard-write'], { origin: address });
  await page.evaluate(async (base64) => {
    const bytes = Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
    await navigator.clipboard.write([new ClipboardItem({ 'image/png': new Blob([bytes], { type: 'image/png' }) })]);
  }, two.buffer.toString('base64'));
  await page.keyboard.press('Control+V');
  await read(['2']);
  assert.equal(await text('label'), '2');
  // Pasted text is none of the page's business.
  await page.evaluate(() => navigator.clipboard.writeText('42'));
  await page.keyboard.press('Control+V');
  await read(['2']);
  await quiet();
}

async function drop() {
  const { context, page, text, read, quiet } = await view();
  const folder = mkdtempSync(join(tmpdir(), 'drop-'));
  const files = [four, seven].map(({ name, buffer }) => {
    writeFileSync(join(folder, name), buffer);
    return join(folder, name);
  });
  const session = await context.newCDPSession(page);
  const drag = (type) => session.send('Input.dispatchDragEvent', { type, x: 1300, y: 700, data: { items: [], files, dragOperationsMask: 1 } });
  await drag('dragEnter');
  await drag('dragOver');
  await until('the invitation', () => page.locator('#drop').isVisible());
  // The protocol has no event for a pointer that leaves the window.
  await page.evaluate(() => document.body.dispatchEvent(new DragEvent('dragleave', { bubbles: true })));
  await until('no invitation', async () => !(await page.locator('#drop').isVisible()));
  await drag('dragEnter');
  await drag('dragOver');
  await drag('drop');
  await read(['4', '7']);
  assert.equal(await text('label'), '4');
  assert.ok(!(await page.locator('#drop').isVisible()));
  assert.equal(page.url(), `${address}/`, 'the browser did not open the file');
  await quiet();
}

/** The right digit is reported once for each answer, and the live accuracy follows. */
async function correction() {
  const { page, text, strip, read, quiet } = await view();
  assert.ok(!(await page.locator('#live').isVisible()), 'nothing was reported yet');
  await page.setInputFiles('#files', [seven, four]);
  await read(['7', '4']);
  await page.locator('#right').evaluate((right) => { right.click(); right.click(); });
  await until('the report', async () => (await text('reported')) === 'Reported as right. Live accuracy: 100.0 %, 1 of 1 report right.');
  assert.ok(await page.locator('#right').isDisabled() && await page.locator('#wrong').isDisabled(), 'an answer is reported once');

  await strip.nth(1).click();
  assert.equal(await text('reported'), '');
  await page.getByRole('button', { name: 'Wrong?' }).click();
  assert.equal(await page.locator('#wrong').getAttribute('aria-expanded'), 'true');
  assert.deepEqual(await page.locator('#truths button:visible').allInnerTexts(), [...'012356789']);
  await page.getByRole('button', { name: '9', exact: true }).click();
  await until('the report', async () => (await text('reported')) === 'Reported as 9. Live accuracy: 50.0 %, 1 of 2 reports right.');
  assert.equal(await text('live-accuracy'), '50.0 %');
  assert.ok(!(await page.locator('#truth').isVisible()));

  await strip.nth(0).click();
  assert.match(await text('reported'), /^Reported as right\./);
  assert.ok(await page.locator('#right').isDisabled(), 'it is remembered');
  await quiet();
}

/** What the service would refuse for its size is reduced, or refused in the user's words. */
async function large() {
  const { page, text, strip, read, quiet } = await view();
  const bodies = [];
  page.on('request', (request) => { if (request.url().endsWith('/Predict')) bodies.push(request.postDataBuffer()?.length ?? 0); });
  const pixels = await sketch(browser, '7', { width: 2400, height: 1600, name: 'pixels.jpeg' });
  // Bytes behind the picture do no harm to its content.
  const bytes = { ...four, name: 'bytes.jpeg', buffer: Buffer.concat([four.buffer, Buffer.alloc(2 ** 20)]) };
  const both = { ...heic, name: 'both.HEIC', buffer: Buffer.concat([heic.buffer, Buffer.alloc(2 ** 20)]) };
  await page.setInputFiles('#files', [pixels, bytes, both]);
  await read(['7', '4', 'refused']);
  assert.match(await text('about'), /^pixels\.jpeg · 17\d\d × 11\d\d · reduced from 2400 × 1600$/);
  await strip.nth(1).click();
  assert.match(await text('about'), /^bytes\.jpeg · 480 × 480 · converted to JPEG$/);
  await strip.nth(2).click();
  assert.equal(await text('words'), 'The file has 1.0 MB, more than this service takes: 1.0 MB.');
  assert.ok(bodies.every((length) => length < 2 ** 20), bodies.join());
  await quiet();
}

/** Pictures wait for a server that does not respond, and are read when it is back. */
async function outage() {
  const { context, page, text, strip, read } = await view();
  await page.route('**/Predict', (route) => route.abort());
  await page.setInputFiles('#files', [seven, four]);
  await until('the server is gone', async () => (await text('notice')).includes('does not respond'));
  assert.match(await strip.nth(0).getAttribute('aria-label'), /being read$/);
  await page.unroute('**/Predict');
  await read(['7', '4']);
  await until('no notice', async () => !(await page.locator('#notice').isVisible()));
  await context.close();
}

/** Only the picture in view has an object URL, and the drawing none. */
async function memory() {
  const { page, strip, read, quiet } = await view();
  await page.evaluate(() => {
    window.live = new Set();
    const { createObjectURL, revokeObjectURL } = URL;
    URL.createObjectURL = (blob) => { const url = createObjectURL.call(URL, blob); window.live.add(url); return url; };
    URL.revokeObjectURL = (url) => { window.live.delete(url); revokeObjectURL.call(URL, url); };
  });
  const live = () => page.evaluate(() => window.live.size);
  await page.setInputFiles('#files', [seven, four, two]);
  await read(['7', '4', '2']);
  assert.equal(await live(), 1);
  await strip.nth(2).click();
  assert.equal(await live(), 1);
  await page.getByRole('button', { name: 'Draw' }).click();
  assert.equal(await live(), 0);
  await quiet();
}

/** The strip, the report and the way back work by the keyboard. */
async function keyboard() {
  const { page, text, read, quiet } = await view();
  await page.setInputFiles('#files', [seven, four]);
  await read(['7', '4']);
  const focused = () => page.evaluate(() => document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent);
  const tabTo = async (name) => {
    for (let n = 0; n < 40 && (await focused()) !== name; n += 1) await page.keyboard.press('Tab');
    assert.equal(await focused(), name);
  };
  await tabTo('4.jpeg: 4');
  assert.equal(await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle), 'solid', 'the focus is seen');
  await page.keyboard.press('Enter');
  assert.equal(await text('label'), '4');
  assert.equal(await focused(), '4.jpeg: 4', 'the focus stays');
  await tabTo('Wrong?');
  await page.keyboard.press('Enter');
  await tabTo('9');
  await page.keyboard.press('Enter');
  await until('the report', async () => (await text('reported')).startsWith('Reported as 9.'));
  await quiet();
}

/** The last drawings are kept with their answers. */
async function drawings() {
  const { page, text, strip, read, quiet } = await view();
  const paper = await page.locator('#ink').boundingBox();
  const at = (x, y) => [paper.x + x * paper.width, paper.y + y * paper.height];
  await page.mouse.move(...at(0.28, 0.24));
  await page.mouse.down();
  for (const point of [[0.72, 0.24], [0.44, 0.82]]) await page.mouse.move(...at(...point), { steps: 8 });
  await page.mouse.up();
  await until('a seven', async () => (await text('label')) === '7');
  await page.getByRole('button', { name: 'Clear' }).click();
  await read(['7']);
  await until('a blank paper', async () => (await text('words')) === 'Nothing is drawn yet.');
  await strip.nth(0).click();
  assert.equal(await text('label'), '7');
  assert.match(await text('about'), /^Drawing · 560 × 560$/);
  await quiet();
}

async function phone() {
  const { page, text, strip, read, quiet } = await view({
    viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, hasTouch: true, isMobile: true,
  });
  assert.equal(await page.locator('#camera').getAttribute('capture'), 'environment');
  const chooser = page.waitForEvent('filechooser');
  await page.getByRole('button', { name: 'Camera' }).tap();
  await (await chooser).setFiles(number);
  await page.setInputFiles('#files', [seven, heic]);
  await read(['7', 'refused', '42']);
  await strip.nth(0).tap();
  assert.equal(await text('label'), '7');
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'nothing sticks out');
  await quiet();
}

/** How the page looks, for people. */
async function pictures() {
  const wide = { viewport: { width: 1440, height: 900 } };
  const narrow = { viewport: { width: 390, height: 1240 }, deviceScaleFactor: 2, hasTouch: true, isMobile: true };
  for (const [size, options] of Object.entries({ 1440: wide, 390: narrow })) {
    for (const colorScheme of ['light', 'dark']) {
      const { page, strip, read, quiet } = await view({ ...options, colorScheme });
      await page.setInputFiles('#files', [number, seven, four, two, heic]);
      await read(['42', '7', '4', '2', 'refused']);
      await screenshot(page, `pictures-${size}-${colorScheme}`);
      await strip.nth(4).click();
      await screenshot(page, `pictures-refused-${size}-${colorScheme}`);
      await quiet();
    }
  }
}

try {
  // The report comes first: it counts from none.
  for (const test of [correction, upload, orientation, paste, drop, large, outage, memory, keyboard, drawings, phone, pictures]) {
    await test();
  }
} finally {
  await browser.close();
}
console.log('all is well');
process.exit(0);
