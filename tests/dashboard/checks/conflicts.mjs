// Two browsers that change the same thing.

import assert from 'node:assert/strict';

import { World } from '../world.mjs';

export const checks = {
  async 'conflicts: the second of two browsers hears who was first, and goes on from there'(browser) {
    const world = await World.start();
    await world.api('PUT', 'routes/chat/split', { weights: { blue: 50, green: 50 }, message: 'half' });
    await world.api('PUT', 'routes/chat/split', { weights: { blue: 40, green: 60 }, message: 'more' });
    const pages = [await browser.open(world.url), await browser.open(world.url)];
    for (const page of pages) {
      await page.getByRole('button', { name: /^Roll back to \d+$/ }).click();
      await page.getByRole('table', { name: 'Changes' }).waitFor();
    }
    const [first, second] = pages;
    await first.getByLabel('Reason').fill('I was first');
    await first.getByRole('button', { name: 'Roll back now' }).click();
    await first.getByText('is live.').waitFor();
    await second.getByRole('button', { name: 'Roll back now' }).click();
    const alert = second.getByRole('alert').filter({ hasText: 'Another change came first.' });
    await alert.waitFor();
    assert.match(await alert.innerText(), /rollback to \d+, by local, .*I was first/s);
    assert.deepEqual(await world.weights(), { blue: 50, green: 50 });
    await second.getByRole('button', { name: 'Look again at what is live' }).click();
    await second.getByRole('button', { name: 'Roll back now' }).click();
    await second.getByText('is live.').waitFor();
    assert.deepEqual(await world.weights(), { blue: 90, green: 10 });
  },
};
