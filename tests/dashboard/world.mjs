// A proxy with two releases of agents behind it, and clients in front of it.

import { spawn } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';

import { worlds } from './browser.mjs';

const ROOT = path.resolve(import.meta.dirname, '../..');
const BINARY = process.env.SWITCHBACK ?? path.join(ROOT, 'target/release/switchback');
const CLIENTS = 4;
const PAUSE = 15;

export const OPERATOR = 'operator-0123456789abcdef';
export const READER = 'reader-0123456789abcdef';

const listening = server => new Promise(done => server.listen(0, '127.0.0.1', () => done(server.address().port)));

// Ports that nobody listens on. They are held together, so that they differ.
async function freePorts(count) {
  const probes = Array.from({ length: count }, () => net.createServer());
  const ports = await Promise.all(probes.map(listening));
  await Promise.all(probes.map(probe => new Promise(done => probe.close(done))));
  return ports;
}

export async function until(what, condition, longest = 8_000) {
  const end = Date.now() + longest;
  while (Date.now() < end) {
    const value = await condition();
    if (value) return value;
    await new Promise(done => setTimeout(done, 25));
  }
  throw new Error(`${what}: not within ${longest / 1000} s`);
}

export class World {
  agents = [];

  faults = { blue: 0, green: 0 };

  answers = { ok: 0, failed: 0 };

  agent = new http.Agent({ keepAlive: true });

  static async start(options = {}) {
    const world = new World();
    worlds.add(world);
    world.folder = fs.mkdtempSync(path.join(os.tmpdir(), 'dashboard-'));
    // The agents first: one of them could get a port that is free for the proxy.
    const agents = [await world.serve('blue'), await world.serve('green')];
    const [admin, proxy] = await freePorts(2);
    [world.admin, world.proxy] = [options.admin ?? admin, proxy];
    world.url = `http://127.0.0.1:${world.admin}/`;
    await world.configure(agents, options);
    await world.run();
    world.clients = Promise.all(Array.from({ length: CLIENTS }, () => world.send()));
    return world;
  }

  // `more` is further configuration, or makes it for the folder of this world.
  async configure([blue, green], { tokens = false, split = 'blue = 90, green = 10', more = '' }) {
    const file = (name, text) => {
      fs.writeFileSync(path.join(this.folder, name), text);
      return path.join(this.folder, name);
    };
    const lines = tokens
      ? `[[admin.tokens]]\nrole = "operator"\nname = "alice"\nfile = "${file('alice', OPERATOR)}"
[[admin.tokens]]\nrole = "read_only"\nname = "wall"\nfile = "${file('wall', READER)}"` : '';
    this.config = file('switchback.toml', `
[admin]
address = "127.0.0.1:${this.admin}"
${lines}
[history]
path = "${this.folder}/history"
[[listeners]]
address = "127.0.0.1:${this.proxy}"
[releases.blue]
version = "1.0.0"
endpoints = ["http://127.0.0.1:${blue}"]
[releases.green]
version = "2.0.0"
endpoints = ["http://127.0.0.1:${green}"]
[[routes]]
name = "chat"
split = { ${split} }
stable = "blue"
${typeof more === 'function' ? more(this.folder) : more}
`);
  }

  // An agent: a short answer, also in JSON, or one that goes on until the test ends.
  async serve(name) {
    const types = { '/stream': 'text/event-stream', '/json': 'application/json' };
    const server = http.createServer((request, response) => {
      const isBad = Math.random() < this.faults[name];
      response.writeHead(isBad ? 500 : 200, { 'content-type': types[request.url] ?? 'text/plain' });
      if (request.url === '/stream') response.write(`data: ${name}\n\n`);
      else if (request.url === '/json') response.end(JSON.stringify({ id: Math.random(), reply: name, status: 'done' }));
      else setTimeout(() => response.end(name), name === 'green' ? 12 : 6);
    });
    this.agents.push(server);
    return listening(server);
  }

  async run() {
    const log = fs.openSync(path.join(this.folder, 'log'), 'a');
    this.process = spawn(BINARY, ['serve', this.config], { stdio: ['ignore', log, log] });
    const isReady = async () => {
      const ready = await fetch(`${this.url}readyz`).catch(() => undefined);
      return ready?.ok;
    };
    await until('the proxy is ready', isReady, 15_000);
  }

  // Ends the proxy at once, as a crash does.
  async kill() {
    const ended = new Promise(done => this.process.once('exit', done));
    this.process.kill('SIGKILL');
    await ended;
  }

  get(url) {
    return new Promise(done => {
      const request = http.get({ port: this.proxy, host: '127.0.0.1', path: url, agent: this.agent }, response => {
        response.resume();
        response.once('close', () => done(response.statusCode));
      });
      request.once('error', () => done(undefined));
    });
  }

  async send() {
    while (!this.isOver) {
      const status = await this.get('/');
      this.answers[status === 200 ? 'ok' : 'failed'] += 1;
      await new Promise(done => setTimeout(done, PAUSE));
    }
  }

  async api(method, url, body, headers = {}) {
    const response = await fetch(`${this.url}v1/${url}`, {
      method,
      headers: { ...headers, ...(body && { 'content-type': 'application/json' }) },
      body: body && JSON.stringify(body),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${url}: ${response.status} ${text}`);
    return JSON.parse(text);
  }

  // The live weights of the route.
  async weights(headers) {
    const { split } = await this.api('GET', 'routes/chat', undefined, headers);
    return split;
  }

  async latest(headers) {
    const { revisions } = await this.api('GET', 'revisions?limit=1', undefined, headers);
    return revisions[0];
  }

  async stop() {
    if (this.isOver) return;
    this.isOver = true;
    worlds.delete(this);
    this.process.kill('SIGKILL');
    this.agent.destroy();
    for (const server of this.agents) {
      server.closeAllConnections();
      server.close();
    }
    await this.clients;
    fs.rmSync(this.folder, { recursive: true, force: true });
  }
}
