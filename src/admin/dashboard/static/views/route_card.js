// A route: its split, its releases, its rollout, and what can be done with it.

import { html } from '../html.js';
import { ago, words } from '../format.js';
import { liveShares } from '../figures.js';
import { GoingBack } from './going_back.js';
import { MirrorPanel } from './mirror_panel.js';
import { ReleaseTable } from './release_table.js';
import { RolloutPanel } from './rollout_panel.js';
import { RouteActions } from './route_actions.js';
import { RouteState } from './route_state.js';
import { SplitBar } from './split_bar.js';

function matching(route) {
  const hosts = [route.host, ...(route.hosts ?? [])].filter(Boolean);
  const path = route.path ?? (route.path_prefix && `${route.path_prefix}…`) ?? '/…';
  const parameters = Object.entries(route.query ?? {}).map(([name, value]) => `${name}=${value}`);
  const target = parameters.length > 0 ? `${path}?${parameters.join('&')}` : path;
  const headers = Object.entries(route.headers ?? {}).map(([name, value]) => `${name}: ${value}`);
  const line = [(route.methods ?? []).join('|'), hosts.join(', ') || 'any host', target].filter(Boolean).join(' ');
  return [line, ...headers].join(', ');
}

function Drill({ drill }) {
  if (!drill) return null;
  const kind = drill.passed ? 'good' : 'warn';
  return html`<p class="drill"><a href="#/drills">Drill</a>:
    <span class="chip ${kind}">${words(drill.state)}</span> ${ago(drill.ended_at)}</p>`;
}

export function RouteCard({ route, status, session }) {
  const id = `route-${route.name}`;
  const rollout = status.rollouts.find(rollout => rollout.routes.some(one => one.route === route.name));
  return html`<section class="card route" aria-labelledby=${id}>
    <div class="row">
      <div><h2 id=${id}>${route.name}</h2><p class="match"><code>${matching(route)}</code></p></div>
      ${session.may_change && !rollout && html`<${RouteActions} route=${route} status=${status} />`}
    </div>
    <${RouteState} route=${route} />
    <${SplitBar} route=${route} live=${liveShares(route.name)} />
    <${GoingBack} all=${status.going_back ?? []} route=${route.name} session=${session} />
    ${rollout && html`<${RolloutPanel} rollout=${rollout} route=${route.name} session=${session} />`}
    <${ReleaseTable} route=${route} status=${status} />
    <${MirrorPanel} route=${route} />
    <${Drill} drill=${route.drill} />
  </section>`;
}
