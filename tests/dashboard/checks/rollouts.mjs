// A rollout from its start to its end, by the buttons.

import assert from 'node:assert/strict';

import { World, until } from '../world.mjs';

async function command(page, name, verb = name) {
  await page.getByRole('button', { name, exact: true }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByRole('button', { name: verb, exact: true }).click();
  await dialog.getByText(/^The rollout is /).waitFor();
  await dialog.getByRole('button', { name: 'Close' }).click();
}

export const checks = {
  async 'rollouts: start, pause, resume and roll back'(browser) {
    const world = await World.start({ split: 'blue = 100, green = 0' });
    const page = await browser.open(world.url);
    const rollout = async () => (await world.api('GET', 'rollouts')).rollouts[0];
    await page.getByRole('button', { name: 'Start rollout' }).click();
    await page.getByLabel('Release', { exact: true }).selectOption('green');
    await page.getByLabel('Reason').fill('version 2');
    await page.getByRole('button', { name: 'Start', exact: true }).click();
    await page.getByText('running', { exact: true }).waitFor();
    assert.equal((await rollout()).message, 'version 2');
    await command(page, 'Pause');
    assert.equal((await rollout()).state, 'paused');
    await page.getByRole('link', { name: 'Rollouts' }).click();
    await command(page, 'Resume');
    assert.equal((await rollout()).state, 'running');
    await command(page, 'Roll back rollout', 'Roll back now');
    await until('it is taken back', async () => (await rollout()).state === 'rolled_back');
    assert.deepEqual(await world.weights(), { blue: 100, green: 0 });
    assert.equal(world.answers.failed, 0);
  },

  async 'rollouts: what was taken back is in quarantine until it is lifted'(browser) {
    const world = await World.start();
    await world.api('PUT', 'quarantine/green', { reason: 'it was slow' });
    const page = await browser.open(`${world.url}#/releases`);
    await page.getByText('it was slow').waitFor();
    await page.getByRole('button', { name: 'Lift' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Lift' }).click();
    await page.getByText('is out of quarantine').waitFor();
    assert.deepEqual((await world.api('GET', 'quarantine')).releases, []);
  },
};
