// The mirror of a route, as long as it has one.

import assert from 'node:assert/strict';

import { World, until } from '../world.mjs';

const MIRROR = `[routes.mirror]
release = "green"
percent = 100
compare_json = { ignore = ["/id"] }
`;

export const checks = {
  async 'mirrors: how the answers compare is shown until the mirror is taken back'(browser) {
    const world = await World.start({ split: 'blue = 1', more: MIRROR });
    for (let sent = 0; sent < 3; sent += 1) assert.equal(await world.get('/json'), 200);
    const { mirror, ...route } = await world.api('GET', 'routes/chat');
    assert.equal(mirror.release, 'green');
    const json = async () => (await world.api('GET', 'routes/chat/mirror')).releases[0].json;
    await until('all copies are compared', async () => (await json()).different === 3);
    const page = await browser.open(world.url);
    const panel = page.getByRole('region', { name: 'Mirror of chat' });
    await panel.getByText('100 % of the requests are copied to green').waitFor();
    const row = panel.getByRole('row', { name: /^green/ });
    await row.getByRole('cell', { name: /^100 % of/ }).waitFor();
    await row.getByRole('cell', { name: '0 % of 3' }).waitFor();
    await panel.getByText('JSON of green differed at').waitFor();
    assert.deepEqual(await panel.getByRole('code').allInnerTexts(), ['/reply']);
    await panel.getByText(/not compared as JSON: \d+ \(\d+ type\)/).waitFor();

    world.faults.green = 1;
    await panel.getByText(/2xx became 5xx/).waitFor();
    assert.equal(world.answers.failed, 0, 'no user gets an answer of green');
    await world.api('PUT', 'routes/chat', route);
    await panel.waitFor({ state: 'detached' });
  },
};
