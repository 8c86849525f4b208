// The effect of a revision: the figures of five minutes before and after it, side by side.

import { html } from '../html.js';
import { number, percent, seconds, words } from '../format.js';

const KINDS = { improved: 'good', worse: 'bad', no_difference: 'plain', not_enough_data: 'plain' };
const COLUMNS = [
  ['Requests/s', kpis => number(kpis.requests_per_second)],
  ['Failures', kpis => percent(kpis.failure_share)],
  ['Duration p95', kpis => seconds(kpis.duration?.p95_seconds)],
];

function Line({ name, before, after, shares }) {
  return html`<tr>
    <th scope="row">${name}</th>
    <td>${shares}</td>
    ${COLUMNS.map(([column, shown]) => html`<td key=${column}>${shown(before)} → ${shown(after)}</td>`)}
  </tr>`;
}

function Route({ effect }) {
  return html`<p><span class="chip ${KINDS[effect.finding]}">${words(effect.finding)}</span> ${effect.words}</p>
    <div class="scroll" tabindex="0" role="region" aria-label="Effect on ${effect.route}">
      <table>
        <caption>${effect.route}: ${effect.before.seconds} s before → ${effect.after.seconds} s after</caption>
        <thead><tr><th scope="col">Release</th><th scope="col">Share</th>${COLUMNS.map(([column]) => html`<th key=${column} scope="col">${column}</th>`)}</tr></thead>
        <tbody>
          <${Line} name="all" before=${effect.before.kpis} after=${effect.after.kpis} shares="" />
          ${effect.releases.map(release => html`<${Line} key=${`${release.release} ${release.version}`} name=${release.release}
            before=${release.before} after=${release.after}
            shares=${`${percent(release.share_before)} → ${percent(release.share_after)}`} />`)}
        </tbody>
      </table>
    </div>`;
}

export function Effect({ effect }) {
  return html`<h3>Effect</h3>${effect.routes.length !== 1 && html`<p>${effect.words}</p>`}
    ${effect.routes.map(route => html`<${Route} key=${route.route} effect=${route} />`)}`;
}
