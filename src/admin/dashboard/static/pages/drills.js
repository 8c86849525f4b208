// Drills: rehearsals of the way back.

import { html } from '../html.js';
import { ago, count, words } from '../format.js';
import { update } from '../store.js';
import { DrillForm } from '../views/drill_form.js';
import { Listing } from '../views/listing.js';
import { Verdict } from '../views/verdict.js';

const KINDS = { passed: 'good', failed: 'bad', running: 'plain', inconclusive: 'warn', superseded: 'plain', interrupted: 'warn' };

function Begin({ routes }) {
  const open = route => () => update({ dialog: () => html`<${DrillForm} route=${route} />` });
  return html`<div class="actions" role="group" aria-label="Begin a drill">
    ${routes.map(({ name }) => html`<button key=${name} type="button" onClick=${open(name)}>Rehearse ${name}</button>`)}
  </div>`;
}

function Steps({ steps }) {
  const time = value => (value === undefined ? 'not in time' : `${value.toFixed(2)} ms`);
  return steps.length > 0 && html`<div class="scroll" tabindex="0" role="region" aria-label="Steps">
    <table>
      <thead><tr><th scope="col">Step</th><th scope="col">Revision</th><th scope="col">Live</th><th scope="col">Durable</th><th scope="col">Converged</th></tr></thead>
      <tbody>${steps.map(step => html`<tr key=${step.revision}>
        <th scope="row">${step.what}</th><td>${step.revision}</td>
        <td>${time(step.live_ms)}</td><td>${time(step.durable_ms)}</td><td>${time(step.converged_ms)}</td>
      </tr>`)}</tbody>
    </table>
  </div>`;
}

function Drill({ drill }) {
  return html`<section class="card" aria-labelledby="drill-${drill.id}">
    <h2 id="drill-${drill.id}">${drill.route} <small>${drill.id}, ${words(drill.level)}</small></h2>
    <p><span class="chip ${KINDS[drill.state]}">${words(drill.state)}</span>
      ${' '}${drill.to && `back to ${drill.to}, `}begun ${ago(drill.started_at)} by ${drill.author}</p>
    ${drill.failures.map(failure => html`<p key=${failure} class="note bad">${failure}</p>`)}
    ${drill.notes.map(note => html`<p key=${note} class="note plain">${note}</p>`)}
    <${Steps} steps=${drill.steps} />
    ${drill.requests.map((load, place) => html`<p key=${place}>${load.release}: ${count(load.sent, 'request')}, ${load.failed} failed, the slowest ${load.slowest_ms.toFixed(1)} ms</p>`)}
    ${drill.verdict && html`<${Verdict} verdict=${drill.verdict} from=${drill.from} to=${drill.to} />`}
  </section>`;
}

export function Drills({ status, session }) {
  return html`
    ${session.may_change && html`<${Begin} routes=${status.routes} />`}
    <${Listing} path="v1/drills">${({ drills }) => (drills.length === 0
      ? html`<p>There was no drill.</p>`
      : drills.map(drill => html`<${Drill} key=${drill.id} drill=${drill} />`))}</${Listing}>
  `;
}
