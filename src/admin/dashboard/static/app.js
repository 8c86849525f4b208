// Begins: reads the session, then draws at each change of the state.

import { html, render } from './html.js';
import { onChange, state, update } from './store.js';
import { readSession, mayRead } from './session.js';
import { listen } from './events.js';
import { refresh } from './feed.js';
import { Frame } from './views/frame.js';

const PAGES = ['now', 'releases', 'history', 'rollouts', 'drills', 'flags', 'verifications'];

function readAddress() {
  const name = location.hash.replace(/^#\/?/, '');
  update({ page: PAGES.includes(name) ? name : 'now' });
}

async function begin() {
  try {
    await readSession();
  } catch (error) {
    update({ lost: error });
    setTimeout(begin, 1_000);
    return;
  }
  if (!mayRead(state.session)) return;
  refresh();
  listen();
}

const root = document.getElementById('app');
onChange(() => render(html`<${Frame} state=${state} pages=${PAGES} />`, root));
window.addEventListener('hashchange', readAddress);
readAddress();
begin();
// Ages grow without any answer.
setInterval(() => update({}), 500);
