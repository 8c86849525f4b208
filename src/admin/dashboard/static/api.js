// Requests to the API of the listener that this page is from.

import { state, update } from './store.js';

// An error response: an RFC 9457 problem document.
export class Problem extends Error {
  constructor(status, document) {
    super(document.detail ?? document.title ?? `status ${status}`);
    this.status = status;
    this.document = document;
  }

  // The word of its type, such as `conflict`.
  get word() {
    return String(this.document.type ?? '').split(':').pop();
  }
}

// Difference between the clock of the server and that of this browser, in milliseconds.
let clockOffset = 0;

export const serverNow = () => Date.now() + clockOffset;

const LONGEST = 15_000;

async function read(response) {
  if (response.status === 204) return undefined;
  const text = await response.text();
  try {
    return JSON.parse(text);
  } catch {
    return { title: `the answer is not JSON (status ${response.status})` };
  }
}

// Sends a request; throws a `Problem` for an error response and a `TypeError` or `DOMException` without one.
export async function request(method, path, { body, headers = {}, timeout = LONGEST } = {}) {
  const fields = { accept: 'application/json', ...headers };
  if (body !== undefined) fields['content-type'] = 'application/json';
  const response = await fetch(path, {
    method,
    headers: fields,
    body: body === undefined ? undefined : JSON.stringify(body),
    cache: 'no-store',
    credentials: 'same-origin',
    signal: AbortSignal.timeout(timeout),
  });
  const date = Date.parse(response.headers.get('date') ?? '');
  if (!Number.isNaN(date)) clockOffset = Math.abs(date - Date.now()) < 2_000 ? 0 : date - Date.now();
  const document = await read(response);
  if (response.ok) return document;
  if (response.status === 401 && path !== 'v1/session') {
    update({ session: { ...state.session, caller: undefined, may_change: false }, status: undefined });
  }
  throw new Problem(response.status, document ?? {});
}

export const get = (path, options) => request('GET', path, options);

// A key by which the server knows a repeated request, as after a lost connection.
export function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, byte => byte.toString(16).padStart(2, '0')).join('');
}

export const segment = name => encodeURIComponent(name);
