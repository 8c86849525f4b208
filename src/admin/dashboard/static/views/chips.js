// The state of the whole in a line: revision, durability, workers, file.

import { html } from '../html.js';
import { ago, cause, clock, count } from '../format.js';
import { statusAge } from '../feed.js';

function Chip({ kind, children }) {
  return html`<li class="chip ${kind}">${children}</li>`;
}

export function Chips({ status }) {
  const { author, durability, convergence, drift } = status;
  const late = convergence.workers.filter(worker => worker.revision !== status.revision).length;
  return html`<ul class="chips" aria-label="State">
    <${Chip} kind="plain">
      <strong>revision ${status.revision}</strong> ${cause(status.cause)}${author && ` by ${author.name}`},${' '}
      <time datetime=${status.published_at} title=${clock(status.published_at)}>${ago(status.published_at)}</time>
      ${author?.message && html`: <q>${author.message}</q>`}
    </${Chip}>
    <${Chip} kind=${durability.healthy ? 'good' : 'bad'}>
      ${durability.healthy ? 'durable' : `not durable: a restart brings revision ${durability.restart_revision}`}
    </${Chip}>
    <${Chip} kind=${convergence.converged ? 'good' : 'warn'}>
      ${convergence.converged ? 'converged' : `${count(late, 'worker')} behind`}
    </${Chip}>
    ${drift.drifted && html`<${Chip} kind="warn">
      <a href="#/history">differs from the file: ${count(drift.changes, 'entry', 'entries')}</a>
    </${Chip}>`}
    ${drift.refused && html`<${Chip} kind="bad">the file could not be imported</${Chip}>`}
    ${durability.damaged?.map(name => html`<${Chip} key=${name} kind="bad">damaged file kept: ${name}</${Chip}>`)}
    <${Chip} kind="plain">${count(status.in_flight, 'request')} in flight</${Chip}>
    <${Chip} kind="plain age">${(statusAge() / 1000).toFixed(0)} s old</${Chip}>
  </ul>`;
}
