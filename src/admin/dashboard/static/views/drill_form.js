// The begin of a drill: its level, and for the levels that users take part in, their share and the time.

import { Component, html } from '../html.js';
import { request } from '../api.js';
import { refresh } from '../feed.js';
import { close } from '../store.js';
import { words } from '../format.js';
import { Dialog } from './dialog.js';
import { Failure } from './failure.js';

const EFFECTS = {
  mechanism: 'The table is made live once more and taken back. No request is answered differently.',
  smoke: 'The release before gets synthetic requests of its own. No request of a user is answered differently.',
  live: 'A share of the sessions is really served by the release before, for a time, and judged.',
  full: 'All requests of all users go to the release before for a time, and then come back: for staging.',
};

export class DrillForm extends Component {
  state = { level: 'mechanism', share: '', period: '', message: '', visible: false, isBusy: false, error: undefined, done: undefined };

  body() {
    const { level, share, period, message, visible } = this.state;
    const body = { route: this.props.route, level };
    if (level === 'live' && share !== '') body.share = Number(share);
    if ((level === 'live' || level === 'full') && period.trim() !== '') body.for = period.trim();
    if (level === 'full') body.visible = visible;
    if (message.trim() !== '') body.message = message.trim();
    return body;
  }

  submit = async event => {
    event.preventDefault();
    this.setState({ isBusy: true });
    try {
      const drill = await request('POST', 'v1/drills', { body: this.body() });
      this.setState({ done: `Drill ${drill.id}: ${words(drill.state)}.` });
    } catch (error) {
      this.setState({ isBusy: false, error });
    }
    refresh();
  };

  set = name => event => this.setState({ [name]: event.target.value });

  // What only the levels have that users take part in.
  taking({ level, share, period, visible }) {
    return html`
      ${level === 'live' && html`<label for="drill-share">Percent of the sessions, at most 50</label>
        <input id="drill-share" type="number" min="0.01" max="50" step="0.01" value=${share} placeholder="1" onInput=${this.set('share')} />`}
      <label for="drill-period">Time, such as 30s or 10m</label>
      <input id="drill-period" value=${period} placeholder=${level === 'live' ? 'as the configuration says' : '10s'} onInput=${this.set('period')} />
      ${level === 'full' && html`<label class="check">
        <input type="checkbox" required checked=${visible} onChange=${event => this.setState({ visible: event.target.checked })} />
        All users may see it
      </label>`}`;
  }

  form(shown) {
    const { level, message, isBusy } = shown;
    return html`<form onSubmit=${this.submit}>
      <label for="drill-level">Level</label>
      <select id="drill-level" value=${level} onChange=${this.set('level')}>
        ${Object.keys(EFFECTS).map(name => html`<option key=${name} value=${name}>${name}</option>`)}
      </select>
      <p>${EFFECTS[level]}</p>
      ${(level === 'live' || level === 'full') && this.taking(shown)}
      <label for="drill-message">Reason</label>
      <input id="drill-message" maxlength="256" value=${message} onInput=${this.set('message')} />
      <p class="actions">
        <button type="submit" class=${level === 'full' ? 'danger' : 'primary'} disabled=${isBusy}>Begin</button>
        <button type="button" onClick=${close}>Cancel</button>
      </p>
    </form>`;
  }

  render({ route }, shown) {
    const again = () => this.setState({ error: undefined });
    return html`<${Dialog} title="Rehearse the way back of ${route}">
      ${shown.error ? html`<${Failure} error=${shown.error} again=${again} />`
        : shown.done ? html`<p role="status" class="note good">${shown.done}</p>
          <p class="actions"><button type="button" class="primary" onClick=${close}>Close</button></p>`
        : this.form(shown)}
    </${Dialog}>`;
  }
}
