// A release day in the browser: a canary, its failures, the way back, and what became of users.
//
// The pictures of each step are kept in target/dashboard/day.

import assert from 'node:assert/strict';
import path from 'node:path';

import { World, until } from '../world.mjs';

const PICTURES = path.resolve(import.meta.dirname, '../../../target/dashboard/day');

const picture = (page, name) => page.screenshot({ path: path.join(PICTURES, `${name}.png`), fullPage: true });

async function shift(page, percent) {
  await page.getByRole('button', { name: 'Shift weights' }).click();
  await page.getByLabel('green', { exact: true }).fill(percent);
  await page.getByRole('button', { name: 'Look what it does' }).click();
  await page.getByLabel('Reason').fill('canary of version 2');
  await page.getByRole('dialog').getByRole('button', { name: 'Shift', exact: true }).click();
  await page.getByText('is live.').waitFor();
  await page.getByRole('button', { name: 'Close' }).click();
}

export const checks = {
  async 'release day: a bad canary is seen, taken back, and its failures are gone'(browser) {
    const world = await World.start({ split: 'blue = 100, green = 0' });
    const page = await browser.open(world.url);
    await until('traffic before it', () => world.answers.ok > 500);
    await shift(page, '30');
    await picture(page, '1-canary');
    world.faults.green = 0.4;
    await page.getByText(/green fails .* percentage points more/).waitFor();
    await until('users notice', () => world.answers.failed > 40);
    await picture(page, '2-it-fails');
    await page.getByRole('button', { name: /^Roll back to \d+$/ }).click();
    await page.getByLabel('Reason').fill('green fails');
    await page.getByRole('button', { name: 'Roll back now' }).click();
    await page.getByText('is live.').waitFor();
    await picture(page, '3-receipt');
    await page.getByRole('link', { name: /^Verification \d/ }).click();
    const failures = page.getByRole('row').filter({ has: page.getByRole('rowheader', { name: 'failures' }) });
    await failures.getByText('recovered', { exact: true }).waitFor({ timeout: 20_000 });
    assert.match(await failures.innerText(), /^failures\s+0 % of \d+\s+[\d.]+ % of \d+\s+0 % of \d+/);
    await picture(page, '4-recovered');
    const { revision } = await world.latest();
    await page.getByRole('link', { name: 'History' }).click();
    await page.getByRole('button', { name: String(revision), exact: true }).click();
    await page.getByText('improved', { exact: true }).waitFor();
    await picture(page, '5-effect');
    assert.deepEqual(await world.weights(), { blue: 100, green: 0 });
  },
};
