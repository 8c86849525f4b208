// The start of a rollout.

import { Component, html } from '../html.js';
import { request } from '../api.js';
import { refresh } from '../feed.js';
import { close } from '../store.js';
import { Dialog } from './dialog.js';
import { Failure } from './failure.js';

// Most routes of a rollout besides this one.
const MOST = 15;

export class RolloutForm extends Component {
  state = { to: this.props.targets[0].name, plan: '', message: '', others: [], isBusy: false, error: undefined };

  submit = async event => {
    event.preventDefault();
    const { to, plan, message, others } = this.state;
    const { name } = this.props.route;
    const body = others.length === 0 ? { route: name, to } : { routes: [name, ...others], to };
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

  take = name => event => {
    const others = this.state.others.filter(other => other !== name);
    this.setState({ others: event.target.checked ? [...others, name] : others });
  };

  // Routes whose only release is another one can get the same release in the same steps.
  train({ route, routes }, { to, others }) {
    const possible = routes.filter(({ name, split }) => name !== route.name
      && split.filter(share => share.weight > 0).length === 1 && split.every(share => share.release !== to || share.weight === 0));
    return possible.length > 0 && html`<fieldset>
      <legend>Together with other routes, which get each step and go back as one</legend>
      ${possible.map(({ name }) => html`<label key=${name} class="check">
        <input type="checkbox" checked=${others.includes(name)} disabled=${others.length >= MOST && !others.includes(name)} onChange=${this.take(name)} /> ${name}
      </label>`)}
    </fieldset>`;
  }

  set = name => event => this.setState({ [name]: event.target.value });

  render(props, shown) {
    const { route, targets } = props;
    const { to, plan, message, isBusy, error } = shown;
    const again = () => this.setState({ error: undefined });
    if (error) return html`<${Dialog} title="Start a rollout"><${Failure} error=${error} again=${again} /></${Dialog}>`;
    return html`<${Dialog} title="Start a rollout on ${route.name}">
      <form onSubmit=${this.submit}>
        <p>The release gets the requests step by step, is judged by them, and is taken back if it is worse.</p>
        <label for="rollout-to">Release</label>
        <select id="rollout-to" value=${to} onChange=${event => this.setState({ to: event.target.value, others: [] })}>
          ${targets.map(({ name, version }) => html`<option key=${name} value=${name}>${name} (${version})</option>`)}
        </select>
        ${this.train(props, shown)}
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
