// The endpoints of a release: health, and what is in flight on each.

import { html } from '../html.js';
import { number, words } from '../format.js';

const KINDS = { healthy: 'good', unhealthy: 'bad', unknown: 'warn', unchecked: 'plain' };

export function Endpoints({ release }) {
  const caption = `Endpoints of ${release.name} ${release.version}`;
  return html`<div class="scroll" tabindex="0" role="region" aria-label=${caption}>
    <table>
      <caption>${caption}</caption>
      <thead><tr><th scope="col">Endpoint</th><th scope="col">Health</th><th scope="col">In flight</th><th scope="col">Weight</th></tr></thead>
      <tbody>${release.endpoints.map(endpoint => html`<tr key=${`${endpoint.url} ${endpoint.address}`}>
        <th scope="row"><code>${endpoint.url}</code>${!endpoint.url.endsWith(endpoint.address) && html`<br/><small>${endpoint.address}</small>`}</th>
        <td><span class="chip ${KINDS[endpoint.health]}">${endpoint.health}</span>
          ${endpoint.ejected && html` <span class="chip bad">ejected: ${words(endpoint.ejected)}</span>`}
          ${endpoint.draining && html` <span class="chip warn">removed, drains</span>`}</td>
        <td>${number(endpoint.in_flight)}</td>
        <td>${number(endpoint.weight)}</td>
      </tr>`)}</tbody>
    </table>
  </div>`;
}
