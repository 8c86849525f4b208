// Brings the status up to date once a second, and notes when that fails.

import { get } from './api.js';
import { readFigures } from './figures.js';
import { mayRead } from './session.js';
import { now, state, update } from './store.js';

const INTERVAL = 1_000;
// A page in the background is up to date soon after it is seen again.
const HIDDEN_INTERVAL = 10_000;
const TIMEOUT = 5_000;
// Routes on a page of a large table.
export const ROUTES = 50;
// From this age a figure is not shown as live any more.
export const STALE = 3_000;

let timer;
let isAsking = false;

// A small table is read whole, with all its releases, those that drain included.
function path() {
  const routes = state.status?.totals.routes;
  if (routes !== undefined && routes <= ROUTES) return 'v1/status';
  const after = state.after === undefined ? '' : `&after=${encodeURIComponent(state.after)}`;
  return `v1/status?limit=${ROUTES}${after}`;
}

// Allows what another page was answered within this second, if nothing has happened since.
export const SHARED = { 'cache-control': 'max-age=1' };

async function ask(headers) {
  const options = { timeout: TIMEOUT, headers };
  if (!mayRead(state.session)) return;
  const asked = path();
  try {
    const [status, figures] = await Promise.all([get(asked, options), readFigures(options)]);
    if (asked === path()) update({ status, figures, statusAt: now(), lost: undefined });
  } catch (error) {
    if (error.status === 404 && state.after !== undefined) update({ after: undefined });
    update({ lost: error });
  }
}

// Asks at once, and then again and again. Requests do not overlap.
export async function refresh(headers = {}) {
  clearTimeout(timer);
  if (isAsking) return;
  isAsking = true;
  await ask(headers);
  isAsking = false;
  clearTimeout(timer);
  timer = setTimeout(() => refresh(SHARED), document.hidden ? HIDDEN_INTERVAL : INTERVAL);
}

// Age of what is shown; that of the figures counts from the time at which the server read them.
export function statusAge() {
  if (!state.status) return Infinity;
  const late = Math.max(0, state.figures.age_seconds - 1) * 1_000;
  return now() - state.statusAt + late;
}

document.addEventListener('visibilitychange', () => document.hidden || refresh());
