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
    await page.getByRole('listitem').filter({ hasText: /rollout of green on chat: .*, now running/ }).first().waitFor();
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

  async 'rollouts: approve, skip and promote, each by its button'(browser) {
    const world = await World.start({ split: 'blue = 100, green = 0' });
    const steps = [{ weight: 5, approval: true }, { weight: 50, hold: '1h' }, { weight: 100 }];
    await world.api('POST', 'rollouts', { route: 'chat', to: 'green', plan: { steps, bake: '1h' } });
    const rollout = async () => (await world.api('GET', 'rollouts')).rollouts[0];
    const page = await browser.open(`${world.url}#/rollouts`);
    await page.getByRole('button', { name: 'Approve', exact: true }).waitFor({ timeout: 15_000 });
    assert.equal((await rollout()).paused_for, 'approval');
    await command(page, 'Approve');
    assert.deepEqual(await world.weights(), { blue: 50, green: 50 });
    await command(page, 'Skip step', 'Skip');
    await until('it bakes', async () => (await rollout()).state === 'baking');
    assert.deepEqual(await world.weights(), { blue: 5, green: 95 });
    await command(page, 'Promote');
    assert.equal((await rollout()).state, 'succeeded');
    assert.deepEqual(await world.weights(), { blue: 0, green: 100 });
    assert.equal(world.answers.failed, 0);
  },

  async 'rollouts: one that is given up gives everything back'(browser) {
    const world = await World.start({ split: 'blue = 100, green = 0' });
    await world.api('POST', 'rollouts', { route: 'chat', to: 'green' });
    const page = await browser.open(`${world.url}#/rollouts`);
    await command(page, 'Abort rollout', 'Abort');
    assert.equal((await world.api('GET', 'rollouts')).rollouts[0].state, 'aborted');
    assert.deepEqual(await world.weights(), { blue: 100, green: 0 });
    assert.deepEqual((await world.api('GET', 'quarantine')).releases, []);
  },

  async 'rollouts: what goes back in parts is shown, and is back at once by a button'(browser) {
    const world = await World.start({ split: 'blue = 100, green = 0' });
    const atOnce = async page => {
      await page.getByText(/part 1 of 10, the last in /).first().waitFor();
      await page.getByRole('button', { name: 'Go back at once' }).click();
    };
    const plan = { steps: [{ weight: 50, hold: '1h' }, { weight: 100 }] };
    const { id } = await world.api('POST', 'rollouts', { route: 'chat', to: 'green', plan });
    await world.api('POST', `rollouts/${id}/abort?over=1h`);
    const page = await browser.open(`${world.url}#/rollouts`);
    await atOnce(page);
    await page.getByRole('dialog').getByRole('button', { name: 'Roll back now' }).click();
    await until('the rollout is given up', async () => (await world.api('GET', 'rollouts')).rollouts[0].state === 'aborted');
    await page.getByRole('dialog').getByRole('button', { name: 'Close' }).click();
    await world.api('POST', 'routes/chat/switch', { to: 'green' });
    await world.api('POST', 'rollback?over=1h');
    await page.getByRole('link', { name: 'Now' }).click();
    await atOnce(page);
    await page.getByRole('dialog').getByRole('button', { name: 'Go back at once' }).click();
    await page.getByText(/^All is back; revision/).waitFor();
    assert.deepEqual(await world.weights(), { blue: 100, green: 0 });
    assert.deepEqual((await world.api('GET', 'status')).going_back, []);
    assert.equal(world.answers.failed, 0);
  },

  async 'rollouts: two routes get their steps as one'(browser) {
    const more = '[[routes]]\nname = "tools"\npath_prefix = "/tools"\nsplit = { blue = 100 }';
    const world = await World.start({ split: 'blue = 100, green = 0', more });
    const page = await browser.open(world.url);
    await page.getByRole('region', { name: 'chat' }).getByRole('button', { name: 'Start rollout' }).click();
    await page.getByLabel('Release', { exact: true }).selectOption('green');
    await page.getByRole('group', { name: /^Together with other routes/ }).getByLabel('tools').check();
    await page.getByRole('button', { name: 'Start', exact: true }).click();
    await page.getByText('running', { exact: true }).first().waitFor();
    const { rollouts } = await world.api('GET', 'rollouts');
    assert.deepEqual(rollouts[0].routes.map(({ route, to }) => [route, to]), [['chat', 'green'], ['tools', 'green']]);
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
