// What a rollback would do, if it is ready, and the red button that does it.

import { html } from '../html.js';
import { count } from '../format.js';
import { rollback as rollbackChange } from '../changes.js';
import { offer } from './change_dialog.js';
import { Diff } from './diff.js';

function Readiness({ rollback }) {
  const { ready, not_ready: notReady, crowded = [], nearest_ready: nearest } = rollback;
  if (!ready) {
    return html`<p class="note bad"><strong>Not ready:</strong> ${notReady.join(', ')} has no healthy endpoint.
      ${nearest !== undefined && ` The nearest revision that is ready is ${nearest}.`}</p>`;
  }
  return html`<p class="note ${crowded.length > 0 ? 'warn' : 'good'}"><strong>Ready.</strong>
    ${crowded.map(({ release, room, load }) => ` ${release} has room for ${room} of the ${count(load, 'request')} in flight that it would get.`)}
  </p>`;
}

export function RollbackCard({ rollback, session }) {
  if (!rollback.available) {
    return html`<section class="card rollback" aria-labelledby="way-back">
      <h2 id="way-back">Way back</h2><p>There is nothing to go back to.</p>
    </section>`;
  }
  const undoes = `${rollback.undoes.length === 1 ? 'revision' : 'revisions'} ${rollback.undoes.join(', ')}`;
  return html`<section class="card rollback" aria-labelledby="way-back">
    <div class="row">
      <div>
        <h2 id="way-back">Way back</h2>
        <p>A rollback restores revision <strong>${rollback.to}</strong> and undoes ${undoes}.
          ${' '}${count(rollback.depth, 'step')} back ${rollback.depth === 1 ? 'is' : 'are'} possible.</p>
      </div>
      ${session.may_change && html`<button type="button" class="danger big" onClick=${() => offer(rollbackChange())}>
        Roll back to ${rollback.to}
      </button>`}
    </div>
    <${Readiness} rollback=${rollback} />
    <details><summary>${count(rollback.changes, 'difference')}</summary>
      <${Diff} entries=${rollback.diff} caption="What a rollback would change" />
    </details>
  </section>`;
}
