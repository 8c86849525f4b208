// The backups that the proxy makes in its folder: age and size of the latest good one, and the outcome of the last attempt.

import { html } from '../html.js';
import { ago, bytes, clock, count } from '../format.js';

const point = time => html`<time datetime=${time} title=${clock(time)}>${ago(time)}</time>`;

function Latest({ backup: { good_at: at, good_bytes: size } }) {
  if (at === undefined) return html`<p>There is none yet.</p>`;
  return html`<p>The latest good one was made ${point(at)} and has ${bytes(size)}.</p>`;
}

function Outcome({ last }) {
  if (last === undefined) return null;
  const { error, ended_at: at, revisions, live } = last;
  if (error === undefined) {
    return html`<p class="note good"><strong>Verified.</strong> The last attempt, ${point(at)}, has ${count(revisions, 'revision')}; revision ${live} was live.</p>`;
  }
  return html`<p class="note bad"><strong>Failed</strong> ${point(at)}: ${error}</p>`;
}

export function BackupCard({ backup }) {
  if (backup?.path === undefined) return null;
  const when = backup.every === undefined ? 'when it is told to' : `every ${backup.every}`;
  return html`<section class="card" aria-labelledby="backups">
    <h2 id="backups">Backups</h2>
    <p>The proxy makes one ${when}, in <code>${backup.path}</code>.</p>
    <${Latest} backup=${backup} />
    <${Outcome} last=${backup.last} />
  </section>`;
}
