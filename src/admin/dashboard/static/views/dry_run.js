// What a change would do: differences, what it takes along, what is not ready for it.

import { html } from '../html.js';
import { count } from '../format.js';
import { Diff } from './diff.js';

const list = items => items.join(', ');

export function DryRun({ dryRun, revision }) {
  const { diff, undoes = [], takes_along: along = [], not_ready: notReady = [], unknown = [], crowded = [] } = dryRun;
  return html`
    <p>It applies to revision ${revision}, which this page shows, and to nothing later.</p>
    ${dryRun.to !== undefined && html`<p>
      It restores ${dryRun.route ? `the split of ${dryRun.route} from ` : ''}revision ${dryRun.to}${undoes.length > 0
        && `, and undoes ${count(undoes.length, 'revision')}: ${list(undoes)}`}.
    </p>`}
    ${!dryRun.changed && html`<p class="note warn">It would change nothing.</p>`}
    ${along.length > 0 && html`<p class="note warn">A later rollback of everything undoes as well: ${list(along)}.</p>`}
    ${notReady.length > 0 && html`<p class="note bad">Without a healthy endpoint: ${list(notReady)}.</p>`}
    ${unknown.length > 0 && html`<p class="note warn">Not checked yet: ${list(unknown)}. It waits for the first check.</p>`}
    ${crowded.map(({ release, room, load }) => html`<p key=${release} class="note warn">
      ${release} has room for ${count(room, 'request')} in flight and would get ${load}.
    </p>`)}
    <${Diff} entries=${diff} caption="Changes" />
  `;
}
