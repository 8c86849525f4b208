// The pictures of the documents: a canary that fails, and the way back.

import path from 'node:path';

import { World } from './world.mjs';

const DOCS = path.resolve(import.meta.dirname, '../../docs');
const SHOWN = 70_000;

export async function takePictures(browser) {
  const world = await World.start({ admin: 9900, split: 'blue = 100, green = 0' });
  await world.api('PUT', 'routes/chat/split', { weights: { blue: 75, green: 25 }, message: 'canary of version 2' });
  world.faults.green = 0.12;
  await new Promise(done => setTimeout(done, SHOWN));
  for (const colorScheme of ['light', 'dark']) {
    const page = await browser.open(world.url, { colorScheme, viewport: { width: 1100, height: 720 } });
    await page.getByRole('img', { name: /Shares of the traffic/ }).waitFor();
    await page.screenshot({ path: path.join(DOCS, `dashboard-${colorScheme}.png`) });
  }
  await world.stop();
}
