// What happened lately, the latest first.

import { html } from '../html.js';
import { ago, bytes, clock, count, words } from '../format.js';

const because = reason => (reason ? `: ${reason}` : '');

const list = names => names.join(', ');

// What a revision changed, by name.
function changed({ routes, releases = [], flags = [] }) {
  const kinds = [[routes, 'routes'], [releases, 'releases'], [flags, 'flags']].filter(([names]) => names.length > 0);
  return kinds.length === 0 ? '' : `, ${kinds.map(([names, kind]) => `${kind} ${list(names)}`).join('; ')}`;
}

const SENTENCES = {
  revision: event => `revision ${event.revision} is live (${words(event.cause)} by ${event.author})${changed(event)}${because(event.message)}`,
  rollout: event => `rollout of ${list(event.releases)} on ${list(event.routes)}: ${words(event.event)}, now ${words(event.state)}${because(event.verdict)}`,
  verification: event => `rollback of revision ${event.revision}: ${words(event.verdict)}${because(event.words)}`,
  drill: event => `drill of ${event.route}: ${words(event.state)}${because(event.failures.join('; '))}`,
  quarantine: event => `${event.release} ${event.version} is ${event.lifted ? 'out of' : 'in'} quarantine (${event.by})${because(event.reason)}`,
  endpoint: event => `${event.endpoint} of ${event.release} is ${event.ejected ? `ejected: ${words(event.ejected)}` : event.health}`,
  release: event => `${event.release} ${event.version} is ${event.ready ? 'ready' : 'not ready'}`,
  rollback_readiness: event => `a rollback is ${event.ready ? 'ready' : 'not ready'}`,
  drained: event => `${event.release} ${event.version} is drained`,
  disk: event => (event.ok ? 'the history can be written' : `the history cannot be written${because(event.error)}`),
  backup: event => (event.error ? `the backup has failed${because(event.error)}` : `a backup of ${bytes(event.bytes)} is made and verified`),
  gap: event => `${event.lost === undefined ? 'events' : count(event.lost, 'event')} before this are not known here`,
};

export function EventLog({ events }) {
  if (events.length === 0) return null;
  return html`<section class="card" aria-labelledby="events">
    <h2 id="events">Events</h2>
    <ol class="events" tabindex="0">${events.map(event => html`<li key=${event.id}>
      <time datetime=${event.at} title=${clock(event.at)}>${ago(event.at)}</time> ${SENTENCES[event.type](event)}
    </li>`)}</ol>
  </section>`;
}
