// The browser, and what every page in it must not do: ask elsewhere, or complain in the console.

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import path from 'node:path';

const ROOT = path.resolve(import.meta.dirname, '../..');
export const packages = createRequire(path.join(ROOT, 'target/dashboard/'));
const { chromium } = packages('playwright-core');

export class Browser {
  contexts = [];

  complaints = [];

  static async launch() {
    const browser = new Browser();
    browser.program = await chromium.launch({
      executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
      args: ['--no-sandbox', '--disable-dev-shm-usage', '--force-prefers-reduced-motion'],
    });
    return browser;
  }

  // A page of a browser of its own: contexts share no cookies.
  async open(url, options = {}) {
    const context = await this.program.newContext({ viewport: { width: 1280, height: 900 }, ...options });
    context.setDefaultTimeout(8_000);
    this.contexts.push(context);
    const page = await context.newPage();
    const { origin } = new URL(url);
    page.on('request', request => {
      const asked = new URL(request.url());
      if (asked.origin !== origin && asked.protocol !== 'data:') this.complaints.push(`asked ${asked.href}`);
    });
    page.on('pageerror', error => this.complaints.push(error.stack));
    page.on('console', message => {
      const isOurs = message.type() === 'error' && !/Failed to load resource/.test(message.text());
      if (isOurs) this.complaints.push(message.text());
    });
    await page.goto(url);
    return page;
  }

  assertClean() {
    assert.deepEqual(this.complaints, []);
  }

  async reset() {
    for (const context of this.contexts.splice(0)) await context.close();
    this.complaints = [];
    await Promise.all([...worlds].map(world => world.stop()));
  }

  async close() {
    await this.reset();
    await this.program.close();
  }
}

// Worlds that run; a check that fails leaves its own behind.
export const worlds = new Set();
