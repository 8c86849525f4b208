// The changes of one route.

import { html } from '../html.js';
import { abort, maintenance, pause, promote, resume, rollbackOfRoute, switchTo } from '../changes.js';
import { update } from '../store.js';
import { offer } from './change_dialog.js';
import { RolloutForm } from './rollout_form.js';
import { WeightsForm } from './weights_form.js';

const isLive = release => release.role === 'live' || release.role === 'standby';

export function RouteActions({ route, status }) {
  const weighed = route.split.filter(share => share.weight > 0);
  const canaries = weighed.filter(share => share.release !== route.stable);
  const isTrial = route.stable !== undefined && canaries.length > 0;
  const targets = status.releases.filter(release => isLive(release)
    && !(weighed.length === 1 && weighed[0].release === release.name));
  const pick = event => {
    const to = event.target.value;
    event.target.value = '';
    if (to !== '') offer(switchTo(route.name, to));
  };
  return html`<div class="actions" role="group" aria-label="Actions of ${route.name}">
    ${route.split.length > 1 && html`<button type="button"
      onClick=${() => update({ dialog: () => html`<${WeightsForm} route=${route} />` })}>Shift weights</button>`}
    ${targets.length > 0 && html`<select aria-label="Switch ${route.name} to" onChange=${pick}>
      <option value="">Switch to …</option>
      ${targets.map(({ name }) => html`<option key=${name} value=${name}>${name}</option>`)}
    </select>`}
    ${isTrial && canaries.length === 1 && html`<button type="button"
      onClick=${() => offer(promote(route.name, canaries[0].release))}>Promote ${canaries[0].release}</button>`}
    ${isTrial && html`<button type="button" class="danger" onClick=${() => offer(abort(route.name))}>Abort</button>`}
    ${weighed.length === 1 && targets.length > 0 && html`<button type="button"
      onClick=${() => update({ dialog: () => html`<${RolloutForm} route=${route} routes=${status.routes} targets=${targets} />` })}>Start rollout</button>`}
    ${route.split.length > 0 && html`<button type="button"
      onClick=${() => offer((route.paused ? resume : pause)(route.name))}>${route.paused ? 'Resume' : 'Pause'} route</button>
    <button type="button"
      onClick=${() => offer(maintenance(route.name, !route.maintenance))}>Maintenance ${route.maintenance ? 'off' : 'on'}</button>`}
    <button type="button" class="danger" onClick=${() => offer(rollbackOfRoute(route.name))}>Roll back route</button>
  </div>`;
}
