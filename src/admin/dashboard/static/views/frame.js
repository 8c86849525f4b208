// What surrounds every page: navigation, the state of the connection, the dialog.

import { html } from '../html.js';
import { listen } from '../events.js';
import { STALE, statusAge } from '../feed.js';
import { logOut, mayRead } from '../session.js';
import { span } from '../format.js';
import { Login } from './login.js';
import { Chips } from './chips.js';
import { Now } from '../pages/now.js';
import { Releases } from '../pages/releases.js';
import { History } from '../pages/history.js';
import { Rollouts } from '../pages/rollouts.js';
import { Drills } from '../pages/drills.js';
import { Flags } from '../pages/flags.js';
import { Verifications } from '../pages/verifications.js';

const PAGES = {
  now: Now, releases: Releases, history: History, rollouts: Rollouts, drills: Drills, flags: Flags, verifications: Verifications,
};

const title = name => name[0].toUpperCase() + name.slice(1);

function Navigation({ pages, page }) {
  return html`<nav aria-label="Pages"><ul>
    ${pages.map(name => html`<li key=${name}>
      <a href="#/${name}" aria-current=${page === name ? 'page' : undefined}>${title(name)}</a>
    </li>`)}
  </ul></nav>`;
}

async function leave() {
  await logOut();
  listen();
}

function Caller({ session }) {
  if (!session.token_required) return html`<p class="caller">${session.may_change ? 'no token needed' : 'read-only'}</p>`;
  return html`<p class="caller">
    ${session.caller}${session.may_change ? '' : ' (read-only)'}
    <button type="button" class="quiet" onClick=${leave}>Log out</button>
  </p>`;
}

// Said once, when the connection is lost and when it is back: not with every second that passes.
function Connection({ state, isLost }) {
  const since = state.status ? `Figures are ${span(statusAge() / 1000)} old.` : 'Nothing was read yet.';
  return html`<div class="connection" role="status">
    ${isLost && html`<p class="banner bad">
      <strong>The connection is lost.</strong> <span aria-hidden="true">${since}</span>
      ${state.lost && html` <span>${state.lost.message}</span>`}
    </p>`}
  </div>`;
}

export function Frame({ state, pages }) {
  const { session, status } = state;
  const isLost = state.lost !== undefined || (status !== undefined && statusAge() > 2 * STALE);
  if (session !== undefined && !mayRead(session)) return html`<${Login} />`;
  const Page = PAGES[state.page];
  return html`
    <a class="skip" href="#content" onClick=${skip}>Skip to the content</a>
    <header>
      <p class="name">switchback <span class="host">${location.host}</span></p>
      <${Navigation} pages=${pages} page=${state.page} />
      ${session && html`<${Caller} session=${session} />`}
    </header>
    <${Connection} state=${state} isLost=${isLost} />
    <main id="content" tabindex="-1" class=${statusAge() > STALE ? 'stale' : ''}>
      <h1>${title(state.page)}</h1>
      ${status && html`<${Chips} status=${status} />`}
      ${status ? html`<${Page} status=${status} session=${session} />` : html`<p>Reading …</p>`}
    </main>
    ${state.dialog?.()}
  `;
}

// The address names the page, so the link moves the focus itself.
function skip(event) {
  event.preventDefault();
  document.getElementById('content').focus();
}
