// Verifications: what became of users after each rollback.

import { html } from '../html.js';
import { ago, badOf, words } from '../format.js';
import { Listing } from '../views/listing.js';

const KINDS = { recovered: 'good', not_recovered: 'bad', worse: 'bad', not_enough_data: 'plain' };

const share = rate => (rate ? badOf(rate.bad, rate.requests) : '–');

function Route({ entry, isOnly }) {
  return html`<h3>${entry.route}: ${entry.taken_back} taken back for ${entry.restored}</h3>
    ${!isOnly && html`<p class="note ${KINDS[entry.verdict]}">${entry.words}</p>`}
    <div class="scroll" tabindex="0" role="region" aria-label="Signals of ${entry.route}">
      <table>
        <thead><tr><th scope="col">Signal</th><th scope="col">Before</th><th scope="col">With it</th><th scope="col">Since</th><th scope="col">Verdict</th></tr></thead>
        <tbody>${entry.signals.map(signal => html`<tr key=${signal.name}>
          <th scope="row">${words(signal.name)}</th>
          <td>${share(signal.reference)}</td><td>${share(signal.with)}</td><td>${share(signal.since)}</td>
          <td><span class="chip ${KINDS[signal.verdict]}">${words(signal.verdict)}</span></td>
        </tr>`)}</tbody>
      </table>
    </div>`;
}

function Verification({ verification }) {
  const { id, state, verdict, routes, also_changed: others = [] } = verification;
  return html`<section class="card" aria-labelledby="verification-${id}">
    <h2 id="verification-${id}">Rollback of revision ${verification.revision}</h2>
    <p aria-live="polite" class="note ${KINDS[verdict]}">${verification.words}</p>
    <p>${words(state)}, for ${verification.held} of ${verification.within}; rolled back ${ago(verification.started_at)} by ${verification.author}
      ${verification.message && html`: <q>${verification.message}</q>`}</p>
    ${routes.map(entry => html`<${Route} key=${entry.route} entry=${entry} isOnly=${routes.length === 1} />`)}
    ${others.length > 0 && html`<p>Also changed: ${others.map(other => other.words).join('; ')}</p>`}
  </section>`;
}

export function Verifications() {
  return html`<${Listing} path="v1/verifications">${({ verifications }) => (verifications.length === 0
    ? html`<p>There was no rollback to verify.</p>`
    : verifications.map(verification => html`<${Verification} key=${verification.id} verification=${verification} />`))}</${Listing}>`;
}
