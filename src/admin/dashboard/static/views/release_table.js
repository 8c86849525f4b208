// The releases of a route beside one another, with their key figures.

import { html } from '../html.js';
import { number, percent, seconds } from '../format.js';
import { SERIES, kpisOf, kpisOfRoute, liveShares } from '../figures.js';
import { Endpoints } from './endpoints.js';
import { RouteCharts } from './route_charts.js';
import { Sparkline } from './sparkline.js';
import { kindOf } from './split_bar.js';

const COLUMNS = ['Release', 'Share', 'Requests/s', 'Failures', 'Duration p95', 'First byte p95', 'In flight', 'Health'];

function Health({ release }) {
  if (!release) return '–';
  const all = release.endpoints.filter(endpoint => !endpoint.draining).length;
  const kind = !release.ready ? 'bad' : release.healthy < all ? 'warn' : 'good';
  return html`<span class="chip ${kind}">${release.healthy} of ${all} healthy</span>`;
}

function Figure({ label, name, text, points, of, unit }) {
  return html`<td data-label=${label}>
    <span class="figure">${text}</span>
    ${points && html`<${Sparkline} label="${label} of ${name}" line=${SERIES[of](points)} unit=${unit} />`}
  </td>`;
}

function Row({ route, share, release }) {
  const { release: name } = share;
  const { kpis, points } = kpisOf(route.name, name) ?? {};
  const live = liveShares(route.name)?.find(one => one.release === name)?.share;
  return html`<tr>
    <th scope="row"><span class="swatch ${kindOf(route, name)}" aria-hidden="true"></span> ${name}
      ${name === route.stable && html` <span class="chip plain">stable</span>`}
      <br/><small>${release?.version}</small></th>
    <td data-label="Share"><span class="figure">${percent(share.share)}</span> <small>live ${percent(live)}</small></td>
    <${Figure} label="Requests/s" name=${name} text=${number(kpis?.requests_per_second)} points=${points} of="rate" unit=${number} />
    <${Figure} label="Failures" name=${name} text=${percent(kpis?.failure_share)} points=${points} of="failures" unit=${percent} />
    <${Figure} label="Duration p95" name=${name} text=${seconds(kpis?.duration?.p95_seconds)} points=${points} of="p95" unit=${seconds} />
    <${Figure} label="First byte p95" name=${name} text=${seconds(kpis?.first_byte?.p95_seconds)} points=${points} of="firstByte" unit=${seconds} />
    <td data-label="In flight">${number(release?.in_flight)}</td>
    <td data-label="Health"><${Health} release=${release} /></td>
  </tr>`;
}

function Comparison({ route }) {
  const compared = kpisOfRoute(route.name)?.releases.filter(entry => entry.comparison) ?? [];
  return compared.map(entry => html`<p key=${entry.release} class="comparison">${entry.comparison.words}</p>`);
}

export function ReleaseTable({ route, status }) {
  const releases = new Map(status.releases.map(release => [release.name, release]));
  const shown = route.split.map(share => releases.get(share.release)).filter(Boolean);
  return html`
    <div class="scroll" tabindex="0" role="region" aria-label="Releases of ${route.name}">
      <table class="figures">
        <thead><tr>${COLUMNS.map(name => html`<th key=${name} scope="col">${name}</th>`)}</tr></thead>
        <tbody>${route.split.map(share => html`<${Row} key=${share.release} route=${route} share=${share}
          release=${releases.get(share.release)} />`)}</tbody>
      </table>
    </div>
    <${Comparison} route=${route} />
    <${RouteCharts} route=${route} />
    <details><summary>Endpoints</summary>
      ${shown.map(release => html`<${Endpoints} key=${release.name} release=${release} />`)}
    </details>
  `;
}
