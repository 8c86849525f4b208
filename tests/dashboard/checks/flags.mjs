// Feature flags by the buttons: each change is a revision, and each goes back.

import assert from 'node:assert/strict';

import { World, until } from '../world.mjs';

export const FLAG = {
  type: 'boolean', variants: { on: true, off: false }, default: 'off', owner: 'search', expires: '2025-01-31',
  rules: [{ when: [{ attribute: 'plan', in: ['pro', 'team'] }], split: { on: 1 } }],
};

const evaluated = async (world, query) => (await world.api('GET', `flags/new-planner/evaluate?${query}`)).variant;

async function confirm(page, verb, reason) {
  await page.getByRole('table', { name: 'Changes' }).waitFor();
  await page.getByLabel('Reason').fill(reason);
  await page.getByRole('dialog').getByRole('button', { name: verb, exact: true }).click();
  await page.getByText('is live.').waitFor();
  await page.getByRole('button', { name: 'Close' }).click();
}

export const checks = {
  async 'flags: switched off and on, given to a share, and rolled back'(browser) {
    const world = await World.start();
    await world.api('PUT', 'flags/new-planner', FLAG);
    const page = await browser.open(`${world.url}#/flags`);
    const card = page.getByRole('region', { name: /^new-planner/ });
    await card.getByText('plan is one of pro, team').waitFor();
    await card.getByText('stale since 2025-01-31').waitFor();
    await card.getByRole('row', { name: 'everybody else off' }).waitFor();
    const click = name => card.getByRole('button', { name, exact: true }).click();

    await click('Switch off');
    await confirm(page, 'Switch off', 'errors in search');
    assert.equal(await evaluated(world, 'attr=plan=pro'), 'off');
    assert.equal((await world.latest()).author.message, 'errors in search');
    await card.getByText('everybody gets off').waitFor();
    await click('Switch on');
    await confirm(page, 'Switch on', 'it is mended');
    assert.equal(await evaluated(world, 'attr=plan=pro'), 'on');

    await click('Change shares');
    await page.getByLabel('on', { exact: true }).fill('12.5');
    assert.equal(await page.getByLabel('off', { exact: true }).inputValue(), '87.5');
    await page.getByRole('button', { name: 'Look what it does' }).click();
    await confirm(page, 'Change', 'an eighth');
    const { rules } = await world.api('GET', 'flags/new-planner');
    assert.deepEqual(rules, [...FLAG.rules, { split: { off: 8_750, on: 1_250 } }]);
    await card.getByText('off 87.5 %').waitFor();

    await click('Roll back flag');
    await confirm(page, 'Roll back now', 'too early');
    await until('the rule is gone', async () => (await world.api('GET', 'flags/new-planner')).rules.length === 1);
    assert.equal(world.answers.failed, 0);
  },

  async 'flags: a user is looked up'(browser) {
    const world = await World.start();
    await world.api('PUT', 'flags/new-planner', { ...FLAG, rules: [...FLAG.rules, { split: { on: 1, off: 1 } }] });
    const page = await browser.open(`${world.url}#/flags`);
    await page.getByRole('button', { name: 'Look up a user' }).click();
    const dialog = page.getByRole('dialog');
    const look = () => dialog.getByRole('button', { name: 'Look up' }).click();
    await look();
    await dialog.getByText(/splits by `targetingKey`/).waitFor();
    await dialog.getByLabel(/^Attributes/).fill('plan=team');
    await look();
    await dialog.getByText('TARGETING_MATCH, rules[0]').waitFor();
    await dialog.getByLabel(/^Attributes/).fill('');
    await dialog.getByLabel(/^Key/).fill('user-7');
    await look();
    await dialog.getByText('SPLIT, rules[1]').waitFor();
    const variant = await evaluated(world, 'key=user-7');
    assert.match(await dialog.getByRole('status').innerText(), new RegExp(`^${variant} = `));
  },
};
