// Logging in and out.

import { request } from './api.js';
import { update } from './store.js';

export async function readSession() {
  update({ session: await request('GET', 'v1/session') });
}

export async function logIn(token) {
  update({ session: await request('POST', 'v1/session', { body: { token } }) });
}

export async function logOut() {
  await request('DELETE', 'v1/session');
  update({ status: undefined, figures: undefined, events: [], dialog: undefined });
  await readSession();
}

export const mayRead = session => session?.caller !== undefined;
