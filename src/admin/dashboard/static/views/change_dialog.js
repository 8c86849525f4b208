// Confirmation of a change: what it would do, the change itself, its receipt, or who came first.

import { Component, html } from '../html.js';
import { newKey, request } from '../api.js';
import { refresh } from '../feed.js';
import { close, state, update } from '../store.js';
import { Conflict, Failure } from './failure.js';
import { Dialog } from './dialog.js';
import { DryRun } from './dry_run.js';
import { Receipt } from './receipt.js';

class ChangeDialog extends Component {
  state = { phase: 'asking', dryRun: undefined, error: undefined, receipt: undefined, message: '', isForced: false };

  // A repeat of the same confirmation, as after a lost answer, is the same request.
  key = newKey();

  revision = this.props.revision;

  body = this.props.change.body;

  componentDidMount() {
    this.look();
  }

  send(options, headers) {
    const { method, path } = this.props.change;
    const query = new URLSearchParams({ ...options, ...(this.state.isForced && { force: true }) });
    const fields = { 'if-match': `"${this.revision}"`, ...headers };
    return request(method, `${path}?${query}`, { body: this.body, headers: fields });
  }

  look = async () => {
    this.setState({ phase: 'asking', error: undefined });
    try {
      const { read } = this.props.change;
      if (read) this.body = await read();
      const dryRun = await this.send({ dry_run: true }, {});
      this.setState({ phase: 'confirm', dryRun });
    } catch (error) {
      this.setState({ phase: 'failed', error });
    }
  };

  // After a conflict: what the change would do to the table as it is now.
  again = () => {
    this.revision = state.status.revision;
    this.key = newKey();
    this.look();
  };

  confirm = async event => {
    event.preventDefault();
    const message = this.state.message.trim();
    this.setState({ phase: 'sending' });
    try {
      const receipt = await this.send(message === '' ? {} : { message }, { 'idempotency-key': this.key });
      this.setState({ phase: 'done', receipt });
    } catch (error) {
      this.setState({ phase: 'failed', error });
    }
    refresh();
  };

  form({ change }, { phase, dryRun, message, isForced }) {
    const isNothing = dryRun.changed === false;
    return html`<form onSubmit=${this.confirm}>
      <${DryRun} dryRun=${dryRun} revision=${this.revision} />
      <label for="message">Reason, for the history</label>
      <input id="message" maxlength="256" value=${message} onInput=${event => this.setState({ message: event.target.value })} />
      ${dryRun.not_ready?.length > 0 && html`<label class="check">
        <input type="checkbox" checked=${isForced} onChange=${event => this.setState({ isForced: event.target.checked })} />
        Force it although a release is not ready
      </label>`}
      <p class="actions">
        <button type="submit" class=${change.isDanger ? 'danger' : 'primary'} disabled=${phase === 'sending' || isNothing}>
          ${phase === 'sending' ? 'Sending …' : change.verb}
        </button>
        <button type="button" onClick=${close}>Cancel</button>
      </p>
    </form>`;
  }

  content(props, shown) {
    switch (shown.phase) {
      case 'asking': return html`<p role="status">Asking what it would do …</p>`;
      case 'done': return html`<${Receipt} receipt=${shown.receipt} />`;
      case 'failed': {
        if (shown.error.word === 'conflict') return html`<${Conflict} error=${shown.error} again=${this.again} />`;
        return html`<${Failure} error=${shown.error} again=${this.look} />`;
      }
      default: return this.form(props, shown);
    }
  }

  render(props, shown) {
    return html`<${Dialog} title=${props.change.title}>${this.content(props, shown)}</${Dialog}>`;
  }
}

// Opens the confirmation of a change of the table that the page shows.
export function offer(change) {
  const { revision } = state.status;
  update({ dialog: () => html`<${ChangeDialog} change=${change} revision=${revision} />` });
}
