// The split of a route as a bar: the configured shares, and below them the shares of the traffic.

import { html } from '../html.js';
import { percent } from '../format.js';

// Stable and canary differ by pattern as well as by color.
export function kindOf(route, release) {
  if (release === route.stable) return 'stable';
  const others = route.split.filter(share => share.release !== route.stable);
  const place = others.findIndex(share => share.release === release);
  return ['canary', 'third', 'fourth'][place] ?? 'further';
}

function Bar({ label, route, shares }) {
  const words = shares.map(({ release, share }) => `${release} ${percent(share)}`).join(', ');
  return html`<div class="bar" role="img" aria-label="${label}: ${words}">
    ${shares.map(({ release, share }) => html`<span key=${release} class="part ${kindOf(route, release)}"
      style=${{ width: `${share * 100}%` }}></span>`)}
  </div>`;
}

export function SplitBar({ route, live }) {
  return html`<div class="split">
    <p class="label">configured</p><${Bar} label="Configured shares" route=${route} shares=${route.split} />
    ${live && html`<p class="label">live</p><${Bar} label="Shares of the traffic" route=${route} shares=${live} />`}
  </div>`;
}
