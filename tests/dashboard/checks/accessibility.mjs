// Every page and dialog by axe-core, light and dark, wide and narrow.

import assert from 'node:assert/strict';

import { packages } from '../browser.mjs';
import { World } from '../world.mjs';
import { FLAG } from './flags.mjs';

const AXE = packages.resolve('axe-core/axe.min.js');
const PAGES = ['now', 'releases', 'history', 'rollouts', 'drills', 'flags', 'verifications'];

async function assertSound(page, where) {
  const { violations } = await page.evaluate(() => axe.run(document, {
    runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'],
  }));
  const found = violations.map(({ id, nodes }) => `${where}: ${id}: ${nodes.map(node => node.html).slice(0, 3).join(' | ')}`);
  assert.deepEqual(found, []);
  const isWide = await page.evaluate(() => document.documentElement.scrollWidth > document.documentElement.clientWidth);
  assert.ok(!isWide, `${where}: wider than the screen`);
}

// As an extension would: the page's own policy lets no script in.
async function withAxe(browser, world, colorScheme, width) {
  const page = await browser.open(world.url, { colorScheme, viewport: { width, height: 800 }, bypassCSP: true });
  await page.addScriptTag({ path: AXE });
  await page.getByRole('heading', { name: 'chat' }).waitFor();
  return page;
}

async function look(browser, world, colorScheme, width) {
  const page = await withAxe(browser, world, colorScheme, width);
  const where = `${colorScheme} ${width}`;
  for (const name of PAGES) {
    await page.evaluate(hash => { location.hash = hash; }, `#/${name}`);
    await page.getByRole('heading', { level: 1, name: new RegExp(name, 'i') }).waitFor();
    await page.getByText('Reading …').first().waitFor({ state: 'detached' });
    for (const summary of await page.locator('summary').all()) await summary.click();
    await assertSound(page, `${where} ${name}`);
  }
  await page.evaluate(() => { location.hash = '#/now'; });
  await page.getByRole('button', { name: /^Roll back to \d+$/ }).click();
  await page.getByRole('table', { name: 'Changes' }).waitFor();
  await assertSound(page, `${where} rollback`);
  await page.keyboard.press('Escape');
  await page.getByRole('button', { name: 'Shift weights' }).click();
  await assertSound(page, `${where} weights`);
  await page.keyboard.press('Escape');
  for (const [name, button] of [['drills', 'Rehearse chat'], ['flags', 'Change shares'], ['flags', 'Look up a user']]) {
    await page.evaluate(hash => { location.hash = hash; }, `#/${name}`);
    await page.getByRole('button', { name: button }).click();
    await assertSound(page, `${where} ${button}`);
    await page.keyboard.press('Escape');
  }
}

async function filled() {
  const world = await World.start({ more: folder => `[backup]\npath = "${folder}/backups"` });
  await world.api('POST', 'backups');
  await world.api('PUT', 'routes/chat/split', { weights: { blue: 0, green: 100 }, message: 'all' });
  await world.api('POST', 'rollback', {});
  await world.api('POST', 'drills', { route: 'chat' });
  await world.api('PUT', 'flags/new-planner', FLAG);
  await world.api('PUT', 'quarantine/green', { reason: 'it was slow' });
  await world.api('PUT', 'routes/chat/split', { weights: { blue: 50, green: 50 } });
  return world;
}

export const checks = {
  async 'accessibility: light'(browser) {
    const world = await filled();
    await Promise.all([1280, 400].map(width => look(browser, world, 'light', width)));
  },

  async 'accessibility: dark'(browser) {
    const world = await filled();
    await Promise.all([1280, 400].map(width => look(browser, world, 'dark', width)));
  },

  async 'accessibility: the form of the token'(browser) {
    const world = await World.start({ tokens: true });
    for (const colorScheme of ['light', 'dark']) {
      const page = await browser.open(world.url, { colorScheme, viewport: { width: 400, height: 800 }, bypassCSP: true });
      await page.addScriptTag({ path: AXE });
      await page.getByLabel('Token').waitFor();
      await assertSound(page, `login ${colorScheme}`);
    }
  },
};
