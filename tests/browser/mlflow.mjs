// Opens a run and a model in MLflow's own page: `mlflow.mjs ADDRESS EXPERIMENT RUN MODEL`.

import { launch, screenshot } from './browser.mjs';

const [address, experiment, run, model] = process.argv.slice(2);
const browser = await launch();
const page = await browser.newPage({ viewport: { width: 1440, height: 1000 } });
page.setDefaultTimeout(Number(process.env.PATIENCE_MS ?? 60_000));
const runPage = `${address}/#/experiments/${experiment}/runs/${run}`;

/** Waits until the page has all texts, and keeps a picture of it. */
async function shows(name, texts) {
  for (const text of texts) {
    await page.getByText(text, { exact: false }).first().waitFor({ state: 'attached' });
  }
  await screenshot(page, name, { fullPage: false });
}

await page.goto(runPage);
await page.getByRole('button', { name: 'Close', exact: true }).click();
await page.getByText('Model training').first().click();
await page.goto(runPage);
await shows('mlflow-run', ['validation/accuracy', 'sgd.learning_rate', 'digits.job_id', 'Finished']);

await page.goto(`${runPage}/model-metrics`);
// Charts below the window's edge are not drawn yet.
await page.locator('.scatterlayer .trace').first().waitFor({ state: 'attached' });
await shows('mlflow-curves', ['train', 'Step']);

await page.goto(`${address}/#/models/${model}`);
await shows('mlflow-model', ['champion', 'digits.checkpoint_id']);

await browser.close();
console.log('all is well');
process.exit(0);
