// All releases: endpoints, roles, what still drains, quarantine.

import { html } from '../html.js';
import { segment } from '../api.js';
import { ago, count, words } from '../format.js';
import { command } from '../views/command_dialog.js';
import { Endpoints } from '../views/endpoints.js';
import { Work } from '../views/work.js';

const ROLES = { live: 'good', standby: 'plain', warm: 'plain', draining: 'warn', candidate: 'warn' };

function Release({ release, routes }) {
  const id = `release-${release.name}-${release.version}-${release.role}`;
  const uses = routes.filter(route => route.split.some(share => share.release === release.name && share.weight > 0));
  const isEnding = release.role !== 'live' && release.in_flight > 0;
  return html`<section class="card" aria-labelledby=${id}>
    <h2 id=${id}>${release.name} <small>${release.version}</small></h2>
    <p><span class="chip ${ROLES[release.role]}">${words(release.role)}</span>
      ${' '}<span class="chip ${release.ready ? 'good' : 'bad'}">${release.ready ? 'ready' : 'not ready'}</span>
      ${' '}${count(release.in_flight, 'request')} in flight${release.queued > 0 && `, ${release.queued} queued`}
      ${uses.length > 0 && html`; serves ${uses.map(route => route.name).join(', ')}`}
      ${release.changed_by !== undefined && html`; changed by revision ${release.changed_by}`}</p>
    ${isEnding && html`<${Work} release=${release.name} />`}
    <${Endpoints} release=${release} />
  </section>`;
}

function Quarantine({ status, session }) {
  if (status.quarantine.length === 0) return null;
  const lift = entry => command({
    title: `Lift the quarantine of ${entry.release} ${entry.version}`,
    verb: 'Lift',
    effect: 'Rollouts and an edited file may give it requests again.',
    method: 'DELETE',
    path: `v1/quarantine/${segment(entry.release)}?version=${segment(entry.version)}`,
    done: () => `${entry.release} ${entry.version} is out of quarantine.`,
  });
  return html`<section class="card" aria-labelledby="quarantine">
    <h2 id="quarantine">Quarantine</h2>
    <ul>${status.quarantine.map(entry => html`<li key=${`${entry.release} ${entry.version}`}>
      <strong>${entry.release} ${entry.version}</strong>: ${entry.reason} (${entry.by}, ${ago(entry.since)})
      ${session.may_change && html` <button type="button" onClick=${() => lift(entry)}>Lift</button>`}
    </li>`)}</ul>
  </section>`;
}

export function Releases({ status, session }) {
  return html`
    <${Quarantine} status=${status} session=${session} />
    ${status.releases.map(release => html`<${Release} key=${`${release.name} ${release.version} ${release.role}`}
      release=${release} routes=${status.routes} />`)}
  `;
}
