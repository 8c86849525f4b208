// Tokens, sessions, and pages of other sites.

import assert from 'node:assert/strict';
import http from 'node:http';

import { OPERATOR, READER, World } from '../world.mjs';

const bearer = { authorization: `Bearer ${OPERATOR}` };

async function logIn(page, token) {
  await page.getByLabel('Token').fill(token);
  await page.getByRole('button', { name: 'Log in' }).click();
}

export const checks = {
  async 'access: a token is exchanged for a cookie that no script reads, and a log out ends it'(browser) {
    const world = await World.start({ tokens: true });
    const page = await browser.open(world.url);
    await logIn(page, 'wrong-0123456789abcdef');
    await page.getByRole('alert').filter({ hasText: 'unknown' }).waitFor();
    await logIn(page, OPERATOR);
    await page.getByRole('heading', { name: 'chat' }).waitFor();
    const [cookie] = await page.context().cookies();
    assert.deepEqual([cookie.httpOnly, cookie.sameSite, cookie.path], [true, 'Strict', '/']);
    assert.equal(await page.evaluate(() => document.cookie), '');
    const asked = { cookie: `${cookie.name}=${cookie.value}` };
    assert.equal((await fetch(`${world.url}v1/status`, { headers: asked })).status, 200);
    const blind = await fetch(`${world.url}v1/rollback`, { method: 'POST', headers: asked });
    assert.equal(blind.status, 403);
    await page.getByRole('button', { name: 'Abort' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Abort' }).click();
    await page.getByText('is live.').waitFor();
    assert.equal((await world.latest(bearer)).author.name, 'alice');
    await page.getByRole('button', { name: 'Close' }).click();
    await page.getByRole('button', { name: 'Log out' }).click();
    await page.getByLabel('Token').waitFor();
    assert.equal((await fetch(`${world.url}v1/status`, { headers: asked })).status, 401);
  },

  async 'access: a read-only token sees everything and no button that changes anything'(browser) {
    const world = await World.start({ tokens: true });
    const page = await browser.open(world.url);
    await logIn(page, READER);
    for (const name of ['Now', 'Releases', 'History', 'Rollouts', 'Drills', 'Verifications']) {
      await page.getByRole('link', { name, exact: true }).click();
      await page.getByRole('heading', { name, level: 1 }).waitFor();
      await page.getByRole('list', { name: 'State' }).waitFor();
      const buttons = page.locator('button:not(.quiet), select');
      assert.equal(await buttons.count(), 0, name);
    }
    const status = await page.evaluate(async () => (await fetch('v1/rollback', { method: 'POST' })).status);
    assert.equal(status, 403);
  },

  async 'access: a page of another site changes nothing, reads nothing and shows no frame'(browser) {
    const world = await World.start({ tokens: true });
    const page = await browser.open(world.url);
    await logIn(page, OPERATOR);
    await page.getByRole('heading', { name: 'chat' }).waitFor();
    const before = await world.latest(bearer);
    const server = http.createServer((_, response) => response.writeHead(200, { 'content-type': 'text/html' }).end('<!doctype html><body>'));
    await new Promise(done => server.listen(0, '127.0.0.1', done));
    // Another port of the same host has the cookie as well, and another name has not.
    for (const host of ['127.0.0.1', 'localhost']) {
      const evil = await page.context().newPage();
      await evil.goto(`http://${host}:${server.address().port}/`);
      const read = await evil.evaluate(attack, world.url);
      assert.deepEqual(read, ['refused', 'refused', 'refused']);
      await evil.waitForFunction(() => window.loaded === 2);
      const frame = evil.frames().find(one => one.name() === 'dashboard');
      assert.equal(await frame.locator('#app').count(), 0);
      await evil.close();
    }
    server.closeAllConnections();
    server.close();
    assert.deepEqual(await world.latest(bearer), before);
  },
};

// Runs in the page of the attacker: requests, a form, a frame.
async function attack(url) {
  window.loaded = 0;
  const frame = name => {
    const element = document.createElement('iframe');
    element.name = name;
    document.body.append(element);
    // After the load of the empty frame.
    element.onload = () => { window.loaded += 1; };
    return element;
  };
  frame('dashboard').src = url;
  frame('answer');
  const form = document.createElement('form');
  Object.assign(form, { method: 'POST', action: `${url}v1/rollback`, target: 'answer' });
  document.body.append(form);
  form.submit();
  const ask = async (path, options) => {
    try {
      const response = await fetch(`${url}${path}`, { credentials: 'include', ...options });
      return response.type === 'opaque' ? 'refused' : `read ${response.status}`;
    } catch {
      return 'refused';
    }
  };
  return Promise.all([
    ask('v1/status'),
    ask('v1/rollback', { method: 'POST', mode: 'no-cors' }),
    ask('v1/routes/chat/abort', { method: 'POST', body: '{}', headers: { 'content-type': 'application/json' } }),
  ]);
}
