// The receipt of a change.

import { html } from '../html.js';
import { count } from '../format.js';
import { close } from '../store.js';
import { Diff } from './diff.js';

function fleetWords({ converged_at: at, nodes, waiting_for: waiting, reason }) {
  if (at !== undefined) return `Every worker of ${count(nodes, 'node')} of the fleet uses it.`;
  if (reason !== undefined) return `The fleet does not have it yet: ${reason}.`;
  return `The fleet takes it up: ${waiting} of ${count(nodes, 'node')} are not known to use it yet.`;
}

export function Receipt({ receipt }) {
  const { undid = [], waiting_for: waiting = [], unresolved = [], crowded = [] } = receipt;
  const swap = (receipt.swap_microseconds / 1000).toFixed(2);
  return html`
    <div role="status">
      <p class="note good"><strong>${receipt.changed ? `Revision ${receipt.revision} is live.` : 'Nothing changed.'}</strong></p>
      <ul>
        ${receipt.changed && html`<li>The swap took ${swap} ms; revision ${receipt.parent} was live before.</li>`}
        ${undid.length > 0 && html`<li>It undid ${count(undid.length, 'revision')}: ${undid.join(', ')}.</li>`}
        <li>${receipt.durable ? 'It survives a restart.' : `A restart would bring revision ${receipt.restart_revision ?? 'an earlier one'}: it is not written yet.`}</li>
        <li>${receipt.converged_at ? 'Every worker uses it.' : `${count(waiting.length, 'worker')} not yet on it.`}</li>
        ${receipt.fleet && html`<li>${fleetWords(receipt.fleet)}</li>`}
        <li>${count(receipt.in_flight_on_previous, 'request')} of earlier revisions in flight.</li>
        ${receipt.verification && html`<li>
          <a href="#/verifications" onClick=${close}>Verification ${receipt.verification}</a> says what becomes of users.
        </li>`}
        ${unresolved.map(({ release }) => html`<li key=${release} class="warn">Addresses of ${release} are not resolved yet.</li>`)}
        ${crowded.map(({ release }) => html`<li key=${release} class="warn">${release} has no room for all of it.</li>`)}
        ${receipt.hint && html`<li>${receipt.hint}</li>`}
      </ul>
    </div>
    <${Diff} entries=${receipt.diff} caption="Changed" />
    <p class="actions"><button type="button" class="primary" onClick=${close}>Close</button></p>
  `;
}
