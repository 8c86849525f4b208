// Each button does what it says, and no request of the traffic fails by it.

import assert from 'node:assert/strict';

import { World, until } from '../world.mjs';

// Confirms the open dialog, and gives the request that it sent.
async function confirm(page, verb, reason) {
  await page.getByRole('table', { name: 'Changes' }).waitFor();
  await page.getByLabel('Reason').fill(reason);
  const isSent = request => request.method() !== 'GET' && !request.url().includes('dry_run');
  const [request] = await Promise.all([
    page.waitForRequest(isSent), page.getByRole('dialog').getByRole('button', { name: verb, exact: true }).click(),
  ]);
  await page.getByText('is live.').waitFor();
  await page.getByRole('button', { name: 'Close' }).click();
  return request;
}

async function assertDone(world, request, { weights, reason, parent }) {
  assert.deepEqual(await world.weights(), weights);
  const latest = await world.latest();
  assert.equal(latest.author.message, reason);
  assert.equal(latest.author.name, 'local');
  assert.equal(latest.parent, parent);
  assert.equal(request.headers()['if-match'], `"${parent}"`);
  assert.ok(request.headers()['idempotency-key']);
  assert.equal(world.answers.failed, 0);
}

const shown = (page, revision) => page.getByText(`revision ${revision}`, { exact: true }).waitFor();

export const checks = {
  async 'actions: the red button rolls back to what was before, with its differences and receipt'(browser) {
    const world = await World.start();
    const { revision: parent } = await world.api('PUT', 'routes/chat/split', { weights: { blue: 40, green: 60 } });
    const page = await browser.open(world.url);
    await page.getByText('Ready.').waitFor();
    await page.getByRole('button', { name: /^Roll back to \d+$/ }).click();
    const green = page.getByRole('dialog').getByRole('row').filter({ hasText: 'routes.chat.split.green' });
    assert.match(await green.innerText(), /60 \(60 %\)\s+10 \(10 %\)/);
    const request = await confirm(page, 'Roll back now', 'too slow');
    await assertDone(world, request, { weights: { blue: 90, green: 10 }, reason: 'too slow', parent });
    assert.equal((await world.latest()).cause.kind, 'rollback');
  },

  async 'actions: weights are shifted by number and by slider'(browser) {
    const world = await World.start();
    const page = await browser.open(world.url);
    const { revision: parent } = await world.latest();
    await shown(page, parent);
    await page.getByRole('button', { name: 'Shift weights' }).click();
    await page.getByRole('slider', { name: 'green, percent' }).fill('30');
    assert.equal(await page.getByLabel('blue', { exact: true }).inputValue(), '70');
    // Slowly: the page is drawn anew while the number is typed.
    await page.getByLabel('green', { exact: true }).fill('');
    await page.getByLabel('green', { exact: true }).pressSequentially('24.5', { delay: 400 });
    assert.equal(await page.getByLabel('blue', { exact: true }).inputValue(), '75.5');
    await page.getByRole('button', { name: 'Look what it does' }).click();
    const request = await confirm(page, 'Shift', 'a quarter');
    await assertDone(world, request, { weights: { blue: 755, green: 245 }, reason: 'a quarter', parent });
  },

  async 'actions: promote, abort, switch and the rollback of a route'(browser) {
    const world = await World.start();
    const page = await browser.open(world.url);
    let parent = (await world.latest()).revision;
    const act = async (open, verb, reason, weights) => {
      await shown(page, parent);
      await open();
      const request = await confirm(page, verb, reason);
      await assertDone(world, request, { weights, reason, parent });
      parent = (await world.latest()).revision;
    };
    const click = name => () => page.getByRole('button', { name, exact: true }).click();
    await act(click('Abort'), 'Abort', 'not today', { blue: 100, green: 0 });
    await act(click('Roll back route'), 'Roll back now', 'after all', { blue: 90, green: 10 });
    await act(click('Promote green'), 'Promote', 'it is good', { blue: 0, green: 100 });
    const pick = () => page.getByRole('combobox', { name: 'Switch chat to' }).selectOption('blue');
    await act(pick, 'Switch', 'back to blue', { blue: 100, green: 0 });
  },

  async 'actions: a route is paused and resumed, and its requests wait'(browser) {
    const world = await World.start();
    const page = await browser.open(world.url);
    const weights = { blue: 90, green: 10 };
    for (const [button, verb, paused] of [['Pause route', 'Pause', true], ['Resume route', 'Resume', false]]) {
      const { revision: parent } = await world.latest();
      await shown(page, parent);
      await page.getByRole('button', { name: button, exact: true }).click();
      const request = await confirm(page, verb, 'new disk');
      await assertDone(world, request, { weights, reason: 'new disk', parent });
      const state = page.getByRole('list', { name: 'Settings of chat' });
      await (paused ? state.getByText('paused').waitFor() : state.waitFor({ state: 'detached' }));
    }
    const { ok } = world.answers;
    await until('requests are served again', () => world.answers.ok > ok + 10);
    assert.equal(world.answers.failed, 0);
  },

  async 'actions: a maintenance keeps its page, and what another changed while it was looked at'(browser) {
    const more = 'maintenance = { on = false, retry_after = "5m", body = "<p>soon</p>" }';
    const world = await World.start({ more });
    const page = await browser.open(world.url);
    await page.getByRole('button', { name: 'Maintenance on', exact: true }).click();
    await page.getByRole('table', { name: 'Changes' }).waitFor();
    await world.api('PUT', 'routes/chat/split', { weights: { blue: 50, green: 50 } });
    await page.getByRole('dialog').getByRole('button', { name: 'Switch on', exact: true }).click();
    await page.getByText('Another change came first.').waitFor();
    assert.equal(await world.get('/'), 200);
    await page.getByRole('button', { name: 'Look again at what is live' }).click();
    const request = await confirm(page, 'Switch on', 'new database');
    const expected = { on: true, retry_after: '5m', body: '<p>soon</p>' };
    assert.deepEqual(request.postDataJSON().maintenance, expected);
    assert.deepEqual(await world.weights(), { blue: 50, green: 50 });
    assert.equal(await world.get('/'), 503);
    await page.getByRole('list', { name: 'Settings of chat' }).getByText('in maintenance').waitFor();
    await page.getByRole('button', { name: 'Maintenance off', exact: true }).click();
    await confirm(page, 'Switch off', 'done');
    assert.equal(await world.get('/'), 200);
  },

  async 'actions: a dialog is opened, closed and confirmed by the keyboard alone'(browser) {
    const world = await World.start();
    const { revision } = await world.api('PUT', 'routes/chat/split', { weights: { blue: 40, green: 60 } });
    const page = await browser.open(world.url);
    await shown(page, revision);
    const button = page.getByRole('button', { name: /^Roll back to \d+$/ });
    await button.focus();
    await page.keyboard.press('Enter');
    await page.getByRole('table', { name: 'Changes' }).waitFor();
    await page.keyboard.press('Escape');
    await page.getByRole('dialog').waitFor({ state: 'detached' });
    assert.ok(await button.evaluate(element => element === document.activeElement));
    await page.keyboard.press('Enter');
    await page.getByLabel('Reason').press('Enter');
    await page.getByText('is live.').waitFor();
    assert.deepEqual(await world.weights(), { blue: 90, green: 10 });
  },
};
