// Key figures of the last minutes, by route and release.

import { get } from './api.js';
import { state } from './store.js';

// Window of the figures and their lines in seconds: short, so that it shows soon what a change does.
export const WINDOW = 60;

export const readFigures = timeout => get(`v1/kpis?window=${WINDOW}s&points=${WINDOW}`, { timeout });

export const kpisOfRoute = route => state.figures?.routes.find(entry => entry.route === route);

export const kpisOf = (route, release) => kpisOfRoute(route)?.releases.find(entry => entry.release === release);

// The shares of the traffic; nothing without a request.
export function liveShares(route) {
  const releases = kpisOfRoute(route.name)?.releases.filter(entry => entry.live_share !== undefined) ?? [];
  if (releases.length === 0) return undefined;
  return releases.map(entry => ({ release: entry.release, share: entry.live_share }));
}

// A series of a release: times in seconds and values, `null` where there is none.
export function series(points, values) {
  const from = Date.parse(points.from) / 1000;
  return { times: values.map((_, place) => from + place * points.step_seconds), values };
}

const shares = (parts, wholes) => parts.map((part, place) => (wholes[place] === 0 ? null : part / wholes[place]));

export const SERIES = {
  rate: points => series(points, points.requests.map(requests => requests / points.step_seconds)),
  failures: points => series(points, shares(points.failures, points.requests)),
  p95: points => series(points, points.duration_p95_seconds),
  firstByte: points => series(points, points.first_byte_p95_seconds),
};
