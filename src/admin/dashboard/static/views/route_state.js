// What a route does with requests beside its split: pause, maintenance, answers of its own, guards.

import { html } from '../html.js';

const GUARDS = {
  rate_limit: 'rate limit',
  max_body: 'longest body',
  guard: 'credentials',
  cors: 'pages of other origins',
};

export function RouteState({ route }) {
  const states = [
    route.paused && ['warn', 'paused: its requests wait'],
    route.maintenance && ['warn', 'in maintenance: its requests get 503'],
    route.redirect !== undefined && ['plain', `redirects with ${route.redirect}`],
    route.respond !== undefined && ['plain', `answers ${route.respond} itself`],
    ...(route.guards ?? []).map(guard => ['plain', `guard: ${GUARDS[guard] ?? guard}`]),
  ].filter(Boolean);
  if (states.length === 0) return null;
  return html`<ul class="chips" aria-label="Settings of ${route.name}">
    ${states.map(([kind, text]) => html`<li key=${text} class="chip ${kind}">${text}</li>`)}
  </ul>`;
}
