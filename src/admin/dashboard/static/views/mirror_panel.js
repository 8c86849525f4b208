// The mirror of a route: what was copied, and how the answers compare with those that users got.

import { html } from '../html.js';
import { segment } from '../api.js';
import { count, number, percent, seconds } from '../format.js';
import { Listing } from './listing.js';

const COLUMNS = ['Release', 'Copied', 'Same status class', 'Same JSON', 'Duration', 'Duration p95 ≤', 'Bytes', 'No answer'];

const sum = counts => Object.values(counts).reduce((all, value) => all + value, 0);

// `3 (2 timeout, 1 broken)`
function withReasons(counts) {
  const reasons = Object.entries(counts).filter(([, value]) => value > 0).map(([reason, value]) => `${number(value)} ${reason}`);
  return `${number(sum(counts))}${reasons.length > 0 ? ` (${reasons.join(', ')})` : ''}`;
}

const shareOf = (part, all) => `${percent(all === 0 ? undefined : part / all)} of ${number(all)}`;

function Pair({ label, original, copy, unit }) {
  return html`<td data-label=${label}><span class="figure">${unit(copy)}</span> <small>original ${unit(original)}</small></td>`;
}

function Row({ figures }) {
  const { release, version, is_live: isLive, json, original, copy } = figures;
  return html`<tr>
    <th scope="row">${release} ${!isLive && html`<span class="chip plain">before</span>`}<br/><small>${version}</small></th>
    <td data-label="Copied"><span class="figure">${number(figures.mirrored)}</span> <small>of ${number(figures.chosen)} chosen</small></td>
    <td data-label="Same status class"><span class="figure">${shareOf(figures.agreed, figures.answered)}</span></td>
    <td data-label="Same JSON"><span class="figure">${json ? shareOf(json.same, json.same + json.different) : '–'}</span></td>
    <${Pair} label="Duration" original=${original.mean_seconds} copy=${copy.mean_seconds} unit=${seconds} />
    <${Pair} label="Duration p95 ≤" original=${original.p95_at_most_seconds} copy=${copy.p95_at_most_seconds} unit=${seconds} />
    <${Pair} label="Bytes" original=${original.mean_bytes} copy=${copy.mean_bytes} unit=${number} />
    <td data-label="No answer">${withReasons(figures.failed)}</td>
  </tr>`;
}

// What the figures of a release do not say: the statuses that changed, the places that differ, what was left out.
function Notes({ figures }) {
  const { release, json, statuses, not_mirrored: skipped } = figures;
  const changed = statuses.filter(pair => pair.original !== pair.copy);
  return html`
    ${changed.length > 0 && html`<p>${release}: ${changed.map(pair => `${count(pair.count, 'time')} ${pair.original} became ${pair.copy}`).join(', ')}</p>`}
    ${json && json.differences.length > 0 && html`<p>JSON of ${release} differed at ${json.differences.map(({ path, count: times }, place) => html`
      ${place > 0 && ', '}<code key=${path}>${path === '' ? 'the whole document' : path}</code> (${number(times)})`)}</p>`}
    ${json && sum(json.not_compared) > 0 && html`<p>Answers of ${release} not compared as JSON: ${withReasons(json.not_compared)}</p>`}
    ${sum(skipped) > 0 && html`<p>Requests not copied to ${release}: ${withReasons(skipped)}</p>`}
  `;
}

export function MirrorPanel({ route }) {
  if (!route.mirror) return null;
  const { name, mirror } = route;
  return html`<section class="mirror" aria-label="Mirror of ${name}">
    <p>${percent(mirror.percent / 100)} of the requests are copied to <strong>${mirror.release}</strong>, whose answers nobody gets</p>
    <${Listing} path="v1/routes/${segment(name)}/mirror">${({ releases }) => html`
      <div class="scroll" tabindex="0" role="region" aria-label="Copies of ${name}">
        <table class="figures">
          <thead><tr>${COLUMNS.map(column => html`<th key=${column} scope="col">${column}</th>`)}</tr></thead>
          <tbody>${releases.map(figures => html`<${Row} key=${figures.release + figures.version} figures=${figures} />`)}</tbody>
        </table>
      </div>
      ${releases.map(figures => html`<${Notes} key=${figures.release + figures.version} figures=${figures} />`)}
    `}</${Listing}>
  </section>`;
}
