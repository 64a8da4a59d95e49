// Tests the page of the inference service: `page.mjs ADDRESS VERSION`. Requests "a hot load", "a
// damaged version" and "a good one again" from the test, which replies with their versions.

import assert from 'node:assert/strict';
import { launch, open, screenshot, until, want } from './browser.mjs';

const [address, version] = process.argv.slice(2);
const SEVEN = [[0.28, 0.24], [0.5, 0.24], [0.72, 0.24], [0.62, 0.42], [0.52, 0.62], [0.44, 0.82]];
const BARS = [[[0.15, 0.25], [0.15, 0.75]], [[0.8, 0.25], [0.8, 0.75]]];
const browser = await launch();

/** Places on the paper as places on the screen. */
async function onScreen(page, points) {
  const box = await page.locator('#ink').boundingBox();
  return points.map(([x, y]) => [box.x + x * box.width, box.y + y * box.height]);
}

async function drawByMouse(page, points) {
  const [first, ...rest] = await onScreen(page, points);
  await page.mouse.move(...first);
  await page.mouse.down();
  for (const point of rest) await page.mouse.move(...point, { steps: 8 });
  await page.mouse.up();
}

async function drawByFinger({ context, page }, points) {
  const session = await context.newCDPSession(page);
  const touch = (type, touchPoints) => session.send('Input.dispatchTouchEvent', { type, touchPoints });
  const [first, ...rest] = (await onScreen(page, points)).map(([x, y]) => ({ x, y }));
  await touch('touchStart', [first]);
  for (const point of rest) await touch('touchMove', [point]);
  await touch('touchEnd', []);
}

/** Rows and columns with ink in the picture that the network saw, and the brightest pixel. */
const seen = (page) => page.locator('#seen').evaluate((canvas) => {
  const { data, width, height } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  const rows = new Set(), columns = new Set();
  let peak = 0;
  for (let at = 0; at < width * height; at += 1) {
    peak = Math.max(peak, data[at * 4]);
    if (data[at * 4] > 0) { rows.add(Math.floor(at / width)); columns.add(at % width); }
  }
  return { width, height, peak, rows: rows.size, columns: columns.size };
});

/** The same drawing is sent in the same bytes, which the page describes, whatever the colours of the theme. */
async function sentAlikeInAllThemes(page, text) {
  const bodies = [];
  const keep = (request) => { if (request.url().endsWith('/Predict')) bodies.push(request.postDataBuffer()); };
  const themes = [
    { colorScheme: 'light', forcedColors: 'none' }, { colorScheme: 'dark', forcedColors: 'none' },
    { colorScheme: 'light', forcedColors: 'active' }, { colorScheme: 'dark', forcedColors: 'active' },
  ];
  const sent = [];
  for (const theme of themes) {
    await page.emulateMedia(theme);
    page.on('request', keep);
    await page.locator('#paper').focus();
    // A dot, by the keyboard: always at the same place, and one drawing alone.
    await page.keyboard.press('Space');
    await page.keyboard.press('Space');
    await until('an answer', async () => /sure$/.test(await text('words')));
    page.off('request', keep);
    sent.push(bodies.at(-1).toString('hex'));
    bodies.length = 0;
    await page.getByRole('button', { name: 'Clear' }).click();
    await until('a blank paper', async () => (await text('words')) === 'Nothing is drawn yet.');
  }
  assert.equal(new Set(sent).size, 1, 'the bytes that are sent depend on the theme');
  assert.equal(await text('sent'), 'Sent as light ink on black.');
  assert.ok(!(await page.locator('#swap').isVisible()), 'the model normalizes pictures');
  await page.emulateMedia({ colorScheme: 'light', forcedColors: 'none' });
}

async function desktop() {
  const view = await open(browser, address, { viewport: { width: 1440, height: 900 }, colorScheme: 'light' });
  const { page, faults, text } = view;
  const predicts = { now: 0, most: 0, all: 0 };
  const isPredict = (request) => request.url().endsWith('/Predict');
  page.on('request', (request) => {
    if (!isPredict(request)) return;
    predicts.all += 1;
    predicts.most = Math.max(predicts.most, ++predicts.now);
  });
  const over = (request) => { if (isPredict(request)) predicts.now -= 1; };
  page.on('requestfinished', over);
  page.on('requestfailed', over);

  await until('the version', async () => (await text('version')) === version);
  assert.match(await text('accuracy'), /^9\d\.\d %$/);
  assert.match(await text('age'), /^\d+ (s|min)$/);
  await until('a blank paper', async () => (await text('words')) === 'Nothing is drawn yet.');

  // Half of it, with the button still down: it is read while it is drawn.
  const points = await onScreen(page, SEVEN);
  await page.mouse.move(...points[0]);
  await page.mouse.down();
  for (const point of points.slice(1, 3)) await page.mouse.move(...point, { steps: 8 });
  await until('an answer while drawing', async () => /sure$/.test(await text('words')));
  for (const point of points.slice(3)) await page.mouse.move(...point, { steps: 8 });
  await page.mouse.up();
  await until('a seven', async () => (await text('label')) === '7');
  await until('the answer is spoken', async () => (await page.locator('#spoken').textContent()).startsWith('7.'));
  assert.equal(predicts.most, 1, 'one request at a time');
  assert.ok(predicts.all >= 3, `${predicts.all} requests`);

  // MNIST's recipe: the longest side is 20 pixels, the peak 255.
  const picture = await until('the whole seven is seen', async () => {
    const picture = await seen(page);
    return picture.rows >= 19 && picture;
  });
  assert.deepEqual([picture.width, picture.height, picture.peak], [28, 28, 255]);
  assert.ok(picture.rows >= 19 && picture.rows <= 21 && picture.columns <= 21, JSON.stringify(picture));
  const shares = await page.locator('#bars .share').allInnerTexts();
  assert.equal(shares.length, 10);
  const sum = shares.reduce((sum, share) => sum + parseFloat(share), 0);
  assert.ok(Math.abs(sum - 100) < 1, shares.join(', '));
  assert.equal(await page.locator('#bars li.first .name').innerText(), '7');
  await screenshot(page, 'light');

  await page.getByRole('button', { name: 'Clear' }).click();
  await until('a blank paper', async () => (await text('words')) === 'Nothing is drawn yet.');
  assert.equal((await seen(page)).peak, 0);
  await screenshot(page, 'blank');

  for (const bar of BARS) await drawByMouse(page, bar);
  await until('two digits', async () => (await text('words')).startsWith('2 digits'));
  assert.equal(await text('label'), '11');
  assert.equal(await page.locator('#boxes .box').count(), 2);
  await screenshot(page, 'several');
  await page.getByRole('button', { name: 'Undo' }).click();
  await until('one digit', async () => /sure$/.test(await text('words')));
  await page.getByRole('button', { name: 'Clear' }).click();
  await until('a blank paper', async () => (await text('words')) === 'Nothing is drawn yet.');

  await sentAlikeInAllThemes(page, text);
  await page.emulateMedia({ colorScheme: 'dark' });
  await drawByMouse(page, SEVEN);
  await until('a seven, light on dark', async () => (await text('label')) === '7');
  await until('ink is ink on dark paper too', async () => {
    const { rows, columns } = await seen(page);
    return rows >= 19 && rows <= 21 && columns <= 21;
  });
  await screenshot(page, 'dark');
  await page.emulateMedia({ colorScheme: 'light' });

  const loaded = await want('a hot load');
  await until('the new version', async () => (await text('version')) === loaded);
  await until('an answer by it', async () => (await text('by')).includes(`version ${loaded}.`));
  await refused(page, text, loaded);
  assert.deepEqual(faults, []);

  // From here on the browser's console reports failed requests.
  await page.route('**/*', (route) => route.abort());
  await until('the server is gone', async () => (await text('notice')).includes('does not respond'));
  await screenshot(page, 'gone');
  await page.getByRole('button', { name: 'Clear' }).click();
  await page.unroute('**/*');
  await until('the server is back', async () => !(await page.locator('#notice').isVisible()));
  await until('the newest drawing is read', async () => (await text('words')) === 'Nothing is drawn yet.');
  await view.context.close();
}

/** Luminance of a colour by WCAG 2. */
function luminance(colour) {
  const [red, green, blue] = colour.match(/[\d.]+/g).map((value) => {
    const share = value / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

/** Of an element's text to its ground. */
async function contrast(page, id) {
  const colours = await page.locator(`#${id}`).evaluate((element) => {
    const { color, backgroundColor } = getComputedStyle(element);
    return [color, backgroundColor];
  });
  const [less, more] = colours.map(luminance).sort((a, b) => a - b);
  return (more + 0.05) / (less + 0.05);
}

/** A refused newer version is reported until one serves again. */
async function refused(page, text, serving) {
  assert.ok(!(await page.locator('#refused').isVisible()), 'nothing was refused yet');
  const damaged = await want('a damaged version');
  const line = page.getByRole('status').filter({ hasText: `Version ${damaged} was refused (digest)` });
  await until('the refusal', async () => (await line.count()) === 1 && line.isVisible());
  assert.match(await text('refused'), new RegExp(`Version ${serving} stays in use\\.$`));
  assert.equal(await text('version'), serving);
  for (const colorScheme of ['dark', 'light']) {
    await page.emulateMedia({ colorScheme });
    assert.ok((await contrast(page, 'refused')) >= 4.5, `it can be read: ${colorScheme}`);
    await screenshot(page, `refused-${colorScheme}`);
  }
  const good = await want('a good one again');
  await until('the good version', async () => (await text('version')) === good);
  await until('no word of it', async () => !(await page.locator('#refused').isVisible()));
}

async function keyboard() {
  const { context, page, faults, text } = await open(browser, address, { viewport: { width: 1180, height: 820 } });
  await until('the version', async () => (await text('version')) !== '');
  await page.keyboard.press('Tab');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'paper');
  assert.ok(await page.locator('#cursor').isVisible(), 'the cursor is seen');
  const outline = await page.locator('#paper').evaluate((paper) => getComputedStyle(paper).outlineStyle);
  assert.equal(outline, 'solid', 'the focus is seen');
  const press = async (key, times = 1) => { for (let n = 0; n < times; n += 1) await page.keyboard.press(key); };
  await press('ArrowLeft', 6);
  await press('Space');
  await press('ArrowRight', 12);
  for (let n = 0; n < 8; n += 1) { await press('ArrowDown', 2); await press('ArrowLeft'); }
  await press('Space');
  await until('a seven', async () => (await text('label')) === '7');
  await until('the answer is spoken', async () => (await page.locator('#spoken').textContent()).startsWith('7.'));
  await screenshot(page, 'keyboard');
  await press('z');
  await until('nothing is left', async () => (await text('words')) === 'Nothing is drawn yet.');
  await press('Space');
  await until('a dot', async () => (await text('words')) !== 'Nothing is drawn yet.');
  await press('c');
  await until('a blank paper', async () => (await text('words')) === 'Nothing is drawn yet.');
  assert.deepEqual(faults, []);
  await context.close();
}

async function phone() {
  const view = await open(browser, address, {
    viewport: { width: 360, height: 740 }, deviceScaleFactor: 2, hasTouch: true, isMobile: true, colorScheme: 'light',
  });
  const { context, page, faults, text } = view;
  await until('the version', async () => (await text('version')) !== '');
  await drawByFinger(view, SEVEN);
  await until('a seven', async () => (await text('label')) === '7');
  const { wide, scrolled } = await page.evaluate(() => ({
    wide: document.documentElement.scrollWidth - innerWidth, scrolled: scrollY,
  }));
  assert.ok(wide <= 0, 'nothing sticks out');
  assert.equal(scrolled, 0, 'drawing does not scroll the page');
  await screenshot(page, 'phone');
  await page.emulateMedia({ colorScheme: 'dark' });
  await until('a seven', async () => (await text('label')) === '7');
  await screenshot(page, 'phone-dark');
  assert.deepEqual(faults, []);
  await context.close();
}

try {
  await desktop();
  await keyboard();
  await phone();
} finally {
  await browser.close();
}
console.log('all is well');
process.exit(0);
