// Key figures of the last minutes, by route and release.

import { get } from './api.js';
import { state } from './store.js';

// Window of the figures and their lines in seconds: short, so that it shows soon what a change does.
export const WINDOW = 60;

export const readFigures = options => get(`v1/kpis?window=${WINDOW}s&points=${WINDOW}`, options);

export const kpisOfRoute = route => state.figures?.routes.find(entry => entry.route === route);

export const kpisOf = (route, release) => kpisOfRoute(route)?.releases.find(entry => entry.release === release);

// Intervals of a second whose requests make the live shares: few, so that a change is soon seen whole.
const RECENT = 10;

const sum = values => values.reduce((all, value) => all + value, 0);

// The shares of the traffic; nothing without a request.
export function liveShares(route) {
  const counts = (kpisOfRoute(route)?.releases ?? []).filter(entry => entry.points).map(entry => ({
    release: entry.release, requests: sum(entry.points.requests.slice(-RECENT)),
  }));
  const all = sum(counts.map(({ requests }) => requests));
  if (all === 0) return undefined;
  return counts.map(({ release, requests }) => ({ release, share: requests / all }));
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
