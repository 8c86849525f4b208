// Numbers, spans of time and points in time as text.

import { serverNow } from './api.js';

export function percent(share) {
  if (share === undefined || share === null) return '–';
  const value = share * 100;
  const digits = value === 0 || value >= 99.95 ? 0 : value < 1 ? 2 : 1;
  return `${Number(value.toFixed(digits))} %`;
}

export function number(value) {
  if (value === undefined || value === null) return '–';
  if (value >= 100 || Number.isInteger(value)) return Math.round(value).toLocaleString('en');
  return value.toFixed(value < 10 ? 2 : 1);
}

export function seconds(value) {
  if (value === undefined || value === null) return '–';
  if (value < 0.01) return `${(value * 1000).toFixed(1)} ms`;
  if (value < 1) return `${Math.round(value * 1000)} ms`;
  if (value < 60) return `${value.toFixed(value < 10 ? 2 : 1)} s`;
  return span(value);
}

export function bytes(value) {
  const units = [[1e9, 'GB'], [1e6, 'MB'], [1e3, 'kB']];
  const [size, unit] = units.find(([size]) => value >= size) ?? [1, 'bytes'];
  return `${number(value / size)} ${unit}`;
}

export function span(value) {
  const units = [[86_400, 'd'], [3_600, 'h'], [60, 'min'], [1, 's']];
  const [size, unit] = units.find(([size]) => value >= size) ?? [1, 's'];
  return `${Math.floor(Math.max(value, 0) / size)} ${unit}`;
}

// A point in time as `3 min ago`.
export const ago = time => `${span((serverNow() - Date.parse(time)) / 1000)} ago`;

// A point in time as `in 3 min`.
export const until = time => `in ${span((Date.parse(time) - serverNow()) / 1000)}`;

export const clock = time => new Date(time).toLocaleString('en-GB', { dateStyle: 'medium', timeStyle: 'medium' });

export const count = (number, one, many = `${one}s`) => `${number.toLocaleString('en')} ${number === 1 ? one : many}`;

// Bad requests among all.
export const badOf = (bad, all) => `${percent(all === 0 ? undefined : bad / all)} of ${number(all)}`;

export const words = text => String(text).replaceAll('_', ' ');

export function cause(cause) {
  switch (cause?.kind) {
    case 'rollback': return `rollback to ${cause.to}`;
    case 'rollback_route': return `rollback of ${cause.route ?? 'a route'} to ${cause.to}`;
    case 'return_part': return `${cause.to === undefined ? 'abort' : `rollback to ${cause.to}`}, part ${cause.part} of ${cause.parts}`;
    case 'drill': return cause.to === undefined ? 'drill' : `drill, back to ${cause.to}`;
    case 'roster': return 'endpoints';
    case undefined: return '';
    default: return words(cause.kind);
  }
}
