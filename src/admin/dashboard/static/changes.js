// Changes that the page offers: the request of each, and its words.
//
// Each names the revision that the page showed when it was offered. The server refuses it if the target has changed since.

import { get, segment } from './api.js';

const route = (name, action) => `v1/routes/${segment(name)}/${action}`;

const of = (title, verb, method, path, body = {}, isDanger = false) => ({ title, verb, method, path, body, isDanger });

export const rollback = to => of(
  to === undefined ? 'Roll back' : `Roll back to revision ${to}`,
  'Roll back now', 'POST', 'v1/rollback', to === undefined ? {} : { to }, true,
);

export const rollbackOfRoute = name => of(
  `Roll back the route ${name}`, 'Roll back now', 'POST', route(name, 'rollback'), {}, true,
);

export const switchTo = (name, to) => of(`Switch ${name} to ${to}`, 'Switch', 'POST', route(name, 'switch'), { to });

export const promote = (name, to) => of(
  `Promote ${to ?? 'the canary'} on ${name}`, 'Promote', 'POST', route(name, 'promote'), to === undefined ? {} : { to },
);

export const abort = name => of(`Abort the trial on ${name}`, 'Abort', 'POST', route(name, 'abort'), {}, true);

export const pause = name => of(`Pause the route ${name}`, 'Pause', 'POST', route(name, 'pause'));

export const resume = name => of(`Resume the route ${name}`, 'Resume', 'POST', route(name, 'resume'));

// The page and the time of a maintenance stay for the next one; one that says nothing is left out.
function withMaintenance({ maintenance, ...spec }, on) {
  const next = { ...maintenance, on };
  return on || Object.keys(next).length > 1 ? { ...spec, maintenance: next } : spec;
}

// It writes the whole route, which is read when the dialog asks what it would do: what others have changed stays.
export function maintenance(name, on) {
  const path = `v1/routes/${segment(name)}`;
  const word = on ? 'on' : 'off';
  return {
    ...of(`Switch the maintenance of ${name} ${word}`, `Switch ${word}`, 'PUT', path, undefined, on),
    read: async () => withMaintenance(await get(path), on),
  };
}

// Whole percents are weights as they are; with tenths, weights are out of a thousand.
export function shift(name, percents) {
  const scale = Object.values(percents).every(Number.isInteger) ? 1 : 10;
  const weights = Object.fromEntries(
    Object.entries(percents).map(([release, percent]) => [release, Math.round(percent * scale)]),
  );
  return of(`Shift weights of ${name}`, 'Shift', 'PUT', route(name, 'split'), { weights });
}

const flag = name => `v1/flags/${segment(name)}`;

export const flagTo = (name, to) => of(
  `Switch the flag ${name} ${to}`, `Switch ${to}`, 'POST', `${flag(name)}/${to}`, {}, to === 'off',
);

export const rollbackOfFlag = name => of(
  `Roll back the flag ${name}`, 'Roll back now', 'POST', `${flag(name)}/rollback`, {}, true,
);

export const rulesOfFlag = (name, rules) => of(
  `Change who gets what of the flag ${name}`, 'Change', 'PATCH', flag(name), { rules },
);
