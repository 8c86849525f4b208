// Rollouts that run, and those that have ended: state, verdict, log.

import { html } from '../html.js';
import { ago, clock, words } from '../format.js';
import { RolloutReturn } from '../views/going_back.js';
import { Listing } from '../views/listing.js';
import { RolloutCommands } from '../views/rollout_panel.js';
import { Verdict } from '../views/verdict.js';

const KINDS = { succeeded: 'good', running: 'good', baking: 'good', planned: 'plain', superseded: 'plain', paused: 'warn', aborted: 'warn', rolled_back: 'bad' };

function Log({ entries }) {
  return html`<details><summary>Log</summary><ol>${entries.map((entry, place) => html`<li key=${place}>
    <time datetime=${entry.at}>${clock(entry.at)}</time> ${entry.by}: ${entry.what}
  </li>`)}</ol></details>`;
}

function Route({ entry, isOnly }) {
  return html`<h3>${entry.route}: ${entry.from} ${entry.from_version} to ${entry.to} ${entry.to_version}, ${entry.weight} %</h3>
    ${!isOnly && html`<${Verdict} verdict=${entry.verdict} from=${entry.from} to=${entry.to} />`}`;
}

function Rollout({ rollout, session }) {
  const { id, from, to, state, plan, step, routes, ended_at: ended } = rollout;
  const names = routes.map(one => one.route).join(', ');
  return html`<section class="card" aria-labelledby="rollout-${id}">
    <div class="row">
      <h2 id="rollout-${id}">${to} on ${names} <small>${id}</small></h2>
      ${session.may_change && html`<${RolloutCommands} rollout=${rollout} />`}
    </div>
    <p><span class="chip ${KINDS[state]}">${words(state)}</span>
      ${rollout.paused_for && ` for ${words(rollout.paused_for)}`}
      ${' '}step ${step + 1} of ${plan.steps.length}, held for ${rollout.held}; begun ${ago(rollout.started_at)} by ${rollout.author}${ended && `, ended ${ago(ended)}`}
      ${rollout.message && html`: <q>${rollout.message}</q>`}</p>
    <${RolloutReturn} rollout=${rollout} session=${session} />
    ${rollout.waiting_for && html`<p class="note warn">${rollout.waiting_for}</p>`}
    ${rollout.gate && html`<p>Gate ${rollout.gate.hook}: ${rollout.gate.decision}${rollout.gate.reason && `, ${rollout.gate.reason}`}</p>`}
    <${Verdict} verdict=${rollout.verdict} from=${from} to=${to} />
    ${routes.map(entry => html`<${Route} key=${entry.route} entry=${entry} isOnly=${routes.length === 1} />`)}
    <${Log} entries=${rollout.log} />
  </section>`;
}

export function Rollouts({ session }) {
  return html`<${Listing} path="v1/rollouts">${({ rollouts }) => (rollouts.length === 0
    ? html`<p>There was no rollout. A route on the page <a href="#/now">Now</a> starts one.</p>`
    : rollouts.map(rollout => html`<${Rollout} key=${rollout.id} rollout=${rollout} session=${session} />`))}</${Listing}>`;
}
