// What the pages show, compared with what the API says.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';

import { World, until } from '../world.mjs';

const GREEN = page => page.getByRole('row').filter({ has: page.getByRole('rowheader', { name: /^green/ }) }).first();

export const checks = {
  async 'pages: now shows the split, the live shares and the key figures'(browser) {
    const world = await World.start({ split: 'blue = 75, green = 25' });
    const page = await browser.open(world.url);
    await page.getByRole('img', { name: 'Configured shares: blue 75 %, green 25 %' }).waitFor();
    await page.getByRole('img', { name: /Shares of the traffic: blue \d/ }).waitFor();
    const row = GREEN(page);
    await row.getByRole('img', { name: /Requests\/s of green: last \d/ }).waitFor();
    const share = await until('a live share', async () => {
      const [, live] = /live ([\d.]+) %/.exec(await row.innerText()) ?? [];
      return Number(live) > 10 && Number(live) < 45 ? live : undefined;
    });
    assert.ok(share);
    await page.getByText('Charts').click();
    await page.getByRole('img', { name: /Duration p95 of chat; last: blue/ }).waitFor();
    await page.getByText('Failures of chat as a table').click();
    await page.getByRole('region', { name: 'Failures of chat as a table' }).getByRole('columnheader', { name: 'green' }).waitFor();
  },

  async 'pages: now shows what a route matches, and what its requests meet before a release'(browser) {
    const more = `
[[routes]]
name = "guarded"
hosts = ["guarded.test"]
path_prefix = "/v2"
methods = ["POST", "PUT"]
query = { version = "2" }
split = { blue = 1 }
max_body = "1MiB"
rate_limit = { rate = "10/s" }
cors = { origins = ["https://a.test"] }
[[routes]]
name = "moved"
host = "moved.test"
redirect = { scheme = "https" }
`;
    const world = await World.start({ more });
    const page = await browser.open(world.url);
    await page.getByText('POST|PUT guarded.test /v2…?version=2', { exact: true }).waitFor();
    const settings = name => page.getByRole('list', { name: `Settings of ${name}` }).getByRole('listitem').allInnerTexts();
    assert.deepEqual(await settings('guarded'), ['guard: rate limit', 'guard: longest body', 'guard: pages of other origins']);
    assert.deepEqual(await settings('moved'), ['redirects with 307']);
    assert.deepEqual(await settings('chat'), []);
    await page.getByRole('group', { name: 'Actions of guarded' }).getByRole('button', { name: 'Pause route' }).waitFor();
    assert.equal(await page.getByRole('group', { name: 'Actions of moved' }).getByRole('button', { name: 'Pause route' }).count(), 0);
  },

  async 'pages: figures are gray and a banner says so while the connection is lost'(browser) {
    const world = await World.start();
    const page = await browser.open(world.url);
    await page.getByRole('heading', { name: 'chat' }).waitFor();
    assert.equal(await page.locator('main.stale').count(), 0);
    await world.kill();
    await page.getByText('The connection is lost.').waitFor();
    await page.locator('main.stale').waitFor();
    await world.run();
    await page.getByText('The connection is lost.').waitFor({ state: 'detached' });
    await page.locator('main:not(.stale)').waitFor();
  },

  async 'pages: history shows who, when, why and what, filters, and goes back to any'(browser) {
    const world = await World.start();
    for (const [green, message] of [[20, 'a little'], [40, 'more'], [60, 'most']]) {
      await world.api('PUT', 'routes/chat/split', { weights: { blue: 100 - green, green }, message });
    }
    const page = await browser.open(`${world.url}#/history`);
    const row = text => page.getByRole('row').filter({ hasText: text });
    await row('a little').waitFor();
    assert.match(await row('more').innerText(), /local/);
    await page.getByLabel('Filter').fill('a little');
    await row('more').waitFor({ state: 'detached' });
    await row('a little').getByRole('button', { expanded: false }).click();
    const changed = page.getByRole('region', { name: /^Changed by revision/ });
    await changed.getByRole('rowheader', { name: 'routes.chat.split.green' }).waitFor();
    await page.getByRole('heading', { name: 'Effect' }).waitFor();
    await row('a little').getByRole('button', { name: /^Roll back to/ }).click();
    await page.getByRole('button', { name: 'Roll back now' }).click();
    await page.getByText('is live.').waitFor();
    assert.deepEqual(await world.weights(), { blue: 80, green: 20 });
  },

  async 'pages: history shows age, size and outcome of the last backup'(browser) {
    const world = await World.start({
      more: folder => `[backup]\npath = "${folder}/backups"\nafter = ["/bin/sh", "-c", "test ! -e ${folder}/fail"]`,
    });
    const page = await browser.open(`${world.url}#/history`);
    const card = page.getByRole('region', { name: 'Backups' });
    await card.getByText('There is none yet.').waitFor();
    await world.api('POST', 'backups');
    await card.getByText(/was made \d+ s ago and has [\d.]+ kB\./).waitFor();
    await card.getByText(/Verified\. The last attempt, \d+ s ago, has 1 revision; revision 1 was live\./).waitFor();
    fs.writeFileSync(path.join(world.folder, 'fail'), '');
    await world.api('POST', 'backups');
    await card.getByText(/Failed \d+ s ago:/).waitFor();
    await page.getByRole('link', { name: 'Now' }).click();
    const event = name => page.getByRole('listitem').filter({ hasText: name });
    await event(/a backup of [\d.]+ kB is made and verified/).waitFor();
    await event('the backup has failed').waitFor();
  },

  async 'pages: releases show what drains, with its age'(browser) {
    const world = await World.start();
    await world.api('POST', 'routes/chat/switch', { to: 'green' });
    world.get('/stream');
    const count = async () => (await world.api('GET', 'releases/green/work')).classes.find(one => one.class === 'stream').count;
    await until('the stream runs', async () => (await count()) > 0);
    await world.api('POST', 'routes/chat/switch', { to: 'blue' });
    const page = await browser.open(`${world.url}#/releases`);
    await page.getByText(/draining: 1 stream, the oldest/).waitFor();
  },

  async 'pages: a rollback is verified, and a drill passes'(browser) {
    const world = await World.start();
    await world.api('POST', 'routes/chat/switch', { to: 'green' });
    await world.api('POST', 'rollback', {});
    const page = await browser.open(`${world.url}#/verifications`);
    await page.getByRole('heading', { name: /Rollback of revision/ }).waitFor();
    await page.getByRole('link', { name: 'Drills' }).click();
    await page.getByRole('button', { name: 'Rehearse chat', exact: true }).click();
    await page.getByRole('button', { name: 'Begin' }).click();
    await page.getByText(/^Drill .*: passed\.$/).waitFor();
    const { drills } = await world.api('GET', 'drills');
    assert.equal(drills[0].passed, true);
  },

  async 'pages: what happens is shown at once, with the reason'(browser) {
    const world = await World.start();
    const page = await browser.open(world.url);
    await page.getByRole('heading', { name: 'Events' }).waitFor();
    await world.api('PUT', 'routes/chat/split', { weights: { blue: 50, green: 50 }, message: 'half and half' });
    const event = page.getByRole('listitem').filter({ hasText: /is live \(publish by local\), routes chat: half and half/ });
    await event.waitFor({ timeout: 800 });
    await page.getByRole('img', { name: 'Configured shares: blue 50 %, green 50 %' }).waitFor();
  },
};
