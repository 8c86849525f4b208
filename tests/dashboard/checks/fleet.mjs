// The card of the fleet: its nodes, and the two ways to end a dispute.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';

import { World, until } from '../world.mjs';

async function freePort() {
  const probe = net.createServer();
  const port = await new Promise(done => probe.listen(0, '127.0.0.1', () => done(probe.address().port)));
  await new Promise(done => probe.close(done));
  return port;
}

// One member, which an empty one can replace.
class Etcd {
  static async start() {
    const etcd = new Etcd();
    [etcd.port, etcd.peer] = [await freePort(), await freePort()];
    await etcd.run();
    return etcd;
  }

  async run() {
    this.folder = fs.mkdtempSync(path.join(os.tmpdir(), 'dashboard-etcd-'));
    const url = `http://127.0.0.1:${this.port}`;
    const peer = `http://127.0.0.1:${this.peer}`;
    this.process = spawn('etcd', ['--data-dir', this.folder, '--listen-client-urls', url, '--advertise-client-urls', url,
      '--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer, '--initial-cluster', `default=${peer}`], { stdio: 'ignore' });
    const isHealthy = async () => {
      const answer = await fetch(`${url}/health`).catch(() => undefined);
      return answer?.ok;
    };
    await until('etcd is healthy', isHealthy, 15_000);
  }

  async stop() {
    const ended = new Promise(done => this.process.once('exit', done));
    this.process.kill('SIGKILL');
    await ended;
    fs.rmSync(this.folder, { recursive: true, force: true });
  }
}

async function decide(world, etcd, page) {
  const card = page.getByRole('region', { name: 'Fleet', exact: true });
  await card.getByText('follows the fleet').waitFor();
  const row = card.getByRole('row', { name: /^proxy-1/ });
  await row.getByText('current').waitFor();
  assert.equal(await card.getByRole('button').count(), 0);

  await etcd.stop();
  await etcd.run();
  await card.getByText('the store is not the one that this node followed').waitFor();
  await card.getByRole('button', { name: 'Keep theirs' }).waitFor();
  await card.getByRole('button', { name: 'Keep mine' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Keep mine' }).click();
  await page.getByText('It is decided; this node follows the fleet').waitFor();
  await page.getByRole('button', { name: 'Close' }).click();
  await card.getByText('follows the fleet').waitFor();
  assert.equal((await world.api('GET', 'fleet')).state, 'following');
}

export const checks = {
  async 'fleet: the nodes are shown, and a node that has stopped is told which side is kept'(browser) {
    const etcd = await Etcd.start();
    try {
      const more = `[fleet]\netcd = ["http://127.0.0.1:${etcd.port}"]\nnode = "proxy-1"\n`;
      const world = await World.start({ more });
      await decide(world, etcd, await browser.open(world.url));
    } finally {
      await etcd.stop();
    }
  },
};
