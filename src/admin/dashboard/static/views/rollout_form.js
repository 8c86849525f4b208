// The start of a rollout.

import { Component, html } from '../html.js';
import { request } from '../api.js';
import { refresh } from '../feed.js';
import { close } from '../store.js';
import { Dialog } from './dialog.js';
import { Failure } from './failure.js';

export class RolloutForm extends Component {
  state = { to: this.props.targets[0].name, plan: '', message: '', isBusy: false, error: undefined };

  submit = async event => {
    event.preventDefault();
    const { to, plan, message } = this.state;
    const body = { route: this.props.route.name, to };
    if (plan.trim() !== '') body.plan = plan.trim();
    if (message.trim() !== '') body.message = message.trim();
    this.setState({ isBusy: true });
    try {
      await request('POST', 'v1/rollouts', { body });
      close();
    } catch (error) {
      this.setState({ isBusy: false, error });
    }
    refresh();
  };

  set = name => event => this.setState({ [name]: event.target.value });

  render({ route, targets }, { to, plan, message, isBusy, error }) {
    const again = () => this.setState({ error: undefined });
    if (error) return html`<${Dialog} title="Start a rollout"><${Failure} error=${error} again=${again} /></${Dialog}>`;
    return html`<${Dialog} title="Start a rollout on ${route.name}">
      <form onSubmit=${this.submit}>
        <p>The release gets the requests step by step, is judged by them, and is taken back if it is worse.</p>
        <label for="rollout-to">Release</label>
        <select id="rollout-to" value=${to} onChange=${this.set('to')}>
          ${targets.map(({ name, version }) => html`<option key=${name} value=${name}>${name} (${version})</option>`)}
        </select>
        <label for="rollout-plan">Plan, a name of the configuration file</label>
        <input id="rollout-plan" value=${plan} placeholder="5, 25, 50 percent, then a bake of 10 min" onInput=${this.set('plan')} />
        <label for="rollout-message">Reason, for the history</label>
        <input id="rollout-message" maxlength="256" value=${message} onInput=${this.set('message')} />
        <p class="actions">
          <button type="submit" class="primary" disabled=${isBusy}>Start</button>
          <button type="button" onClick=${close}>Cancel</button>
        </p>
      </form>
    </${Dialog}>`;
  }
}
