// What is split now, how each release does, and the way back.

import { html } from '../html.js';
import { state, update } from '../store.js';
import { ROUTES, refresh } from '../feed.js';
import { EventLog } from '../views/event_log.js';
import { FleetCard } from '../views/fleet_card.js';
import { RollbackCard } from '../views/rollback_card.js';
import { RouteCard } from '../views/route_card.js';

function Pages({ status }) {
  if (status.totals.routes <= ROUTES) return null;
  const show = after => () => {
    update({ after });
    refresh();
  };
  return html`<nav class="pager" aria-label="Pages of routes">
    <p>${status.routes.length} of ${status.totals.routes.toLocaleString('en')} routes</p>
    <button type="button" disabled=${state.after === undefined} onClick=${show(undefined)}>First page</button>
    <button type="button" disabled=${status.next === undefined} onClick=${show(status.next)}>Next page</button>
  </nav>`;
}

export function Now({ status, session }) {
  return html`
    <${RollbackCard} rollback=${status.rollback} session=${session} />
    <${FleetCard} fleet=${status.fleet} session=${session} />
    <${Pages} status=${status} />
    ${status.routes.map(route => html`<${RouteCard} key=${route.name} route=${route} status=${status} session=${session} />`)}
    <${EventLog} events=${state.events} />
    ${status.routes.length === 0 && html`<p>The table has no route.</p>`}
  `;
}
