// The verdict on a release: a sentence, and each signal beside that of the stable release.

import { html } from '../html.js';
import { badOf, seconds, words } from '../format.js';

const KINDS = { worse: 'bad', fine: 'good', not_enough_data: 'plain', unmeasurable: 'warn' };

const share = rate => badOf(rate.bad, rate.units);

export function Verdict({ verdict, from, to }) {
  if (!verdict) return html`<p>No verdict yet.</p>`;
  return html`<p class="note ${KINDS[verdict.overall]}">${verdict.words}</p>
    <div class="scroll" tabindex="0" role="region" aria-label="Signals of ${to}">
      <table>
        <thead><tr><th scope="col">Signal</th><th scope="col">${to}</th><th scope="col">${from}</th><th scope="col">Verdict</th></tr></thead>
        <tbody>${verdict.metrics.map(metric => html`<tr key=${metric.name}>
          <th scope="row">${words(metric.name)}${metric.threshold_seconds !== undefined && ` (over ${seconds(metric.threshold_seconds)})`}</th>
          <td>${share(metric.canary)}</td><td>${share(metric.stable)}</td>
          <td><span class="chip ${KINDS[metric.verdict]}">${words(metric.verdict)}</span></td>
        </tr>`)}</tbody>
      </table>
    </div>`;
}
