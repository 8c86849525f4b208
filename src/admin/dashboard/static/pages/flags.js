// Feature flags: who gets which variant, the switch of each, and its way back.

import { html } from '../html.js';
import { flagTo, rollbackOfFlag } from '../changes.js';
import { conditionWords, shareWords } from '../flag_words.js';
import { update } from '../store.js';
import { offer } from '../views/change_dialog.js';
import { EvaluationForm } from '../views/evaluation_form.js';
import { FlagShares } from '../views/flag_shares.js';
import { Listing } from '../views/listing.js';

// Most flags that are drawn at once.
const MOST = 100;

function Actions({ name, flag }) {
  const to = flag.state === 'on' ? 'off' : 'on';
  const open = Form => () => update({ dialog: () => html`<${Form} name=${name} flag=${flag} />` });
  return html`<div class="actions" role="group" aria-label="Actions of ${name}">
    <button type="button" class=${to === 'off' ? 'danger' : ''} onClick=${() => offer(flagTo(name, to))}>Switch ${to}</button>
    ${Object.keys(flag.variants).length > 1 && html`<button type="button" onClick=${open(FlagShares)}>Change shares</button>`}
    <button type="button" class="danger" onClick=${() => offer(rollbackOfFlag(name))}>Roll back flag</button>
  </div>`;
}

function Rules({ flag }) {
  const { rules: own = [] } = flag;
  const isForAll = own.length > 0 && !(own.at(-1).when?.length > 0);
  const rules = isForAll ? own : [...own, { split: { [flag.default]: 1 } }];
  return html`<div class="scroll" tabindex="0" role="region" aria-label="Rules">
    <table>
      <thead><tr><th scope="col">Who</th><th scope="col">Gets</th></tr></thead>
      <tbody>${rules.map((rule, place) => html`<tr key=${place}>
        <td>${conditionWords(rule.when, place)}</td><td>${shareWords(rule.split)}</td>
      </tr>`)}</tbody>
    </table>
  </div>`;
}

function Flag({ name, flag, stale, session }) {
  const id = `flag-${name}`;
  const values = Object.entries(flag.variants).map(([variant, value]) => `${variant} = ${JSON.stringify(value)}`);
  return html`<section class="card" aria-labelledby=${id}>
    <div class="row">
      <h2 id=${id}>${name} <small>${flag.type}</small></h2>
      ${session.may_change && html`<${Actions} name=${name} flag=${flag} />`}
    </div>
    <p><span class="chip ${flag.state === 'on' ? 'good' : 'warn'}">${flag.state}</span>
      ${flag.state === 'off' && ` everybody gets ${flag.default}; the rules below wait until it is on`}
      ${flag.owner && ` of ${flag.owner}`}${flag.expires && `, expires ${flag.expires}`}
      ${stale && html` <span class="chip warn">stale since ${stale.expired}</span>`}</p>
    ${flag.description && html`<p>${flag.description}</p>`}
    <p><code>${values.join(', ')}</code></p>
    ${flag.prerequisite && html`<p>Only where ${flag.prerequisite.flag} gives ${flag.prerequisite.variant}.</p>`}
    <${Rules} flag=${flag} />
    <button type="button" onClick=${() => update({ dialog: () => html`<${EvaluationForm} name=${name} />` })}>Look up a user</button>
  </section>`;
}

export function Flags({ status, session }) {
  const stale = name => status.stale_flags?.find(({ flag }) => flag === name);
  return html`<${Listing} path="v1/flags">${({ flags }) => {
    const all = Object.entries(flags);
    return html`
      ${all.length === 0 && html`<p>There is no flag. The configuration file, the API or <code>switchback flag set</code> adds one.</p>`}
      ${all.slice(0, MOST).map(([name, flag]) => html`<${Flag} key=${name} name=${name} flag=${flag} stale=${stale(name)} session=${session} />`)}
      ${all.length > MOST && html`<p>And ${all.length - MOST} more, which <code>switchback flag list</code> shows.</p>`}
    `;
  }}</${Listing}>`;
}
