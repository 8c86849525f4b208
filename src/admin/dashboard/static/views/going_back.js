// What goes back in parts: how far it is, when it is over, and a button that gives back the rest at once.

import { html } from '../html.js';
import { segment } from '../api.js';
import { until } from '../format.js';
import { command, commandRollout } from './command_dialog.js';

const done = receipt => (receipt.changed ? `All is back; revision ${receipt.revision} is live.` : 'All was back already.');

// It names its end, so that it never goes a step further back if the last part was faster.
function hurry({ command: name, to, routes: [route] }) {
  const isRollback = name === 'rollback';
  command({
    title: isRollback ? `Go back to revision ${to} at once` : `Abort the trial on ${route} at once`,
    verb: 'Go back at once',
    effect: 'All requests that are still to be given back are given back now.',
    method: 'POST',
    path: isRollback ? 'v1/rollback' : `v1/routes/${segment(route)}/abort`,
    body: isRollback ? { to } : {},
    takesReason: true,
    isDanger: true,
    done,
  });
}

function Parts({ parts: { over, part, parts, ends_at: end }, what, session, atOnce }) {
  return html`<div class="row">
    <p>${what} <span class="chip warn">goes back</span> over ${over}: part ${part} of ${parts}, the last ${until(end)}
      ${' '}<progress max=${parts} value=${part} aria-label="Parts that are back"></progress></p>
    ${session.may_change && html`<button type="button" class="danger" onClick=${atOnce}>Go back at once</button>`}
  </div>`;
}

// The way back of a rollout.
export function RolloutReturn({ rollout, session }) {
  const { going_back: parts, to } = rollout;
  return parts && html`<${Parts} what=${to} parts=${parts} session=${session} atOnce=${() => commandRollout(rollout, 'rollback')} />`;
}

// The rollback, and the abort, that are under way on a route.
export function GoingBack({ all, route, session }) {
  return all.filter(one => one.routes.includes(route)).map(one => html`<div key=${one.command}>
    <${Parts} what=${one.command === 'rollback' ? `To revision ${one.to}, by ${one.by}:` : `To the stable release, by ${one.by}:`}
      parts=${one.parts} session=${session} atOnce=${() => hurry(one)} />
    ${one.waiting_for && html`<p class="note warn">${one.waiting_for}</p>`}
  </div>`);
}
