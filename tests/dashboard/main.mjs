// Runs the checks one after the other. The last line is `N passed, N failed`.

import { Browser } from './browser.mjs';
import { takePictures } from './pictures.mjs';
import { checks as access } from './checks/access.mjs';
import { checks as accessibility } from './checks/accessibility.mjs';
import { checks as actions } from './checks/actions.mjs';
import { checks as conflicts } from './checks/conflicts.mjs';
import { checks as files } from './checks/files.mjs';
import { checks as flags } from './checks/flags.mjs';
import { checks as fleet } from './checks/fleet.mjs';
import { checks as mirrors } from './checks/mirrors.mjs';
import { checks as pages } from './checks/pages.mjs';
import { checks as releaseDay } from './checks/release_day.mjs';
import { checks as rollouts } from './checks/rollouts.mjs';

const LONGEST = 30_000;

function within(work) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${LONGEST / 1000} s`)), LONGEST);
  });
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}

const wanted = process.argv.slice(2);
const browser = await Browser.launch();
let failed = 0;
let passed = 0;
try {
  if (wanted.includes('--pictures')) {
    await takePictures(browser);
    process.exit();
  }
  const all = { ...files, ...pages, ...actions, ...conflicts, ...rollouts, ...flags, ...fleet, ...mirrors, ...releaseDay, ...access, ...accessibility };
  for (const [name, check] of Object.entries(all)) {
    if (wanted.length > 0 && !wanted.some(word => name.includes(word))) continue;
    const start = Date.now();
    try {
      await within(check(browser));
      browser.assertClean();
      passed += 1;
      console.log(`ok      ${name} (${((Date.now() - start) / 1000).toFixed(1)} s)`);
    } catch (error) {
      failed += 1;
      console.log(`FAILED  ${name}\n${error.stack}`);
    }
    await browser.reset();
  }
} finally {
  await browser.close();
}
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 && passed > 0 ? 0 : 1);
