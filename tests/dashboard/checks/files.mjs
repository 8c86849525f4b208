// The files of the dashboard, as any client gets them.

import assert from 'node:assert/strict';

import { World } from '../world.mjs';

const HTML = { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' };

export const checks = {
  async 'files: the page has a strict policy and asks only for what is here'(browser) {
    const world = await World.start();
    const page = await fetch(world.url, { headers: HTML });
    const policy = page.headers.get('content-security-policy');
    for (const part of ["default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'"]) {
      assert.ok(policy.includes(part), policy);
    }
    assert.ok(!policy.includes('unsafe'), policy);
    assert.equal(page.headers.get('x-content-type-options'), 'nosniff');
    const asked = [];
    const opened = await browser.open('about:blank');
    opened.on('request', request => asked.push(request.url()));
    await opened.goto(world.url);
    await opened.getByRole('heading', { name: 'chat' }).waitFor();
    browser.complaints = browser.complaints.filter(complaint => !complaint.startsWith('asked'));
    assert.ok(asked.length > 20);
    assert.deepEqual(asked.filter(url => !url.startsWith(world.url)), []);
  },

  async 'files: a tool gets a problem at the root, and a known file is not sent again'() {
    const world = await World.start();
    const tool = await fetch(world.url);
    assert.equal(tool.status, 404);
    assert.match((await tool.json()).hint, /openapi\.json/);
    const url = `${world.url}dashboard/app.js`;
    const file = await fetch(url);
    assert.match(file.headers.get('content-type'), /^text\/javascript/);
    const again = await fetch(url, { headers: { 'if-none-match': file.headers.get('etag') } });
    assert.equal(again.status, 304);
    assert.equal((await fetch(`${world.url}dashboard/../../etc/passwd`)).status, 404);
  },
};
