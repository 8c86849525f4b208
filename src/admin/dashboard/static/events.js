// The stream of events: what happens is shown at once, and kept in a short list.

import { SHARED, refresh } from './feed.js';
import { mayRead } from './session.js';
import { state, update } from './store.js';

// Events that are kept for the page.
const MOST = 30;
// Pause after a stream that the browser gave up.
const PAUSE = 5_000;
const TYPES = [
  'revision', 'rollout', 'verification', 'drill', 'quarantine', 'endpoint', 'release', 'rollback_readiness', 'drained',
  'disk', 'backup', 'certificate', 'gap',
];

let source;
let timer;

function take(message) {
  const event = JSON.parse(message.data);
  const known = state.events.filter(({ id }) => id !== event.id);
  update({ events: [event, ...known].slice(0, MOST) });
  refresh(SHARED);
}

function close() {
  clearTimeout(timer);
  source?.close();
  source = undefined;
}

// A browser has six connections to a host for all of its tabs: one in the background takes none.
export function listen() {
  close();
  if (document.hidden || !mayRead(state.session)) return;
  source = new EventSource(`v1/events?last=${MOST}`);
  for (const type of TYPES) source.addEventListener(type, take);
  source.addEventListener('error', () => {
    // The browser connects again by itself unless the answer was an error.
    if (source?.readyState === EventSource.CLOSED) timer = setTimeout(listen, PAUSE);
  });
}

document.addEventListener('visibilitychange', listen);
