// A request that was refused, and one that came after another change.

import { html } from '../html.js';
import { ago, cause } from '../format.js';
import { close } from '../store.js';

function Actions({ again, words }) {
  return html`<p class="actions">
    ${again && html`<button type="button" class="primary" onClick=${again}>${words}</button>`}
    <button type="button" onClick=${close}>Close</button>
  </p>`;
}

export function Failure({ error, again }) {
  const { title, detail, hint, problems = [] } = error.document ?? {};
  return html`<div role="alert" class="note bad">
      <p><strong>${title ?? 'There was no answer'}</strong></p>
      <p>${detail ?? error.message}</p>
      ${problems.map(problem => html`<p key=${problem.path}><code>${problem.path}</code>: ${problem.message}</p>`)}
      ${hint && html`<p>${hint}</p>`}
    </div>
    <${Actions} again=${again} words="Try again" />`;
}

export function Conflict({ error, again }) {
  const { revision, since = [] } = error.document;
  return html`<div role="alert" class="note warn">
      <p><strong>Another change came first.</strong> Nothing was done. Revision ${revision} is live.</p>
      <ul>${since.map(change => html`<li key=${change.revision}>
        revision ${change.revision}, ${cause(change.cause)}, by <strong>${change.author.name}</strong>, ${ago(change.published_at)}
        ${change.author.message && html`: <q>${change.author.message}</q>`}
      </li>`)}</ul>
    </div>
    <${Actions} again=${again} words="Look again at what is live" />`;
}
