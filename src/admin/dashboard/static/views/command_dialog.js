// Confirmation of what names one thing and shows no differences: a rollout's command, an end of a quarantine, a drill.

import { Component, html } from '../html.js';
import { request, segment } from '../api.js';
import { refresh } from '../feed.js';
import { close, update } from '../store.js';
import { words } from '../format.js';
import { Dialog } from './dialog.js';
import { Failure } from './failure.js';

const EFFECTS = {
  pause: 'The weights stay as they are; the release is still judged, and taken back if it is worse.',
  resume: 'The rollout goes on.',
  approve: 'The step ends, and the rollout goes on.',
  skip: 'The step, or the bake, ends now, whatever it waits for.',
  promote: 'The release gets all requests now, without further steps.',
  abort: 'The rollout is given up: the earlier release gets all requests.',
  rollback: 'The release is taken back: the earlier one gets all requests.',
};

class CommandDialog extends Component {
  state = { message: '', isBusy: false, error: undefined, done: undefined };

  confirm = async event => {
    event.preventDefault();
    const { command } = this.props;
    const message = this.state.message.trim();
    const body = command.takesReason && message !== '' ? { ...command.body, message } : command.body;
    this.setState({ isBusy: true });
    try {
      const done = await request(command.method, command.path, { body });
      this.setState({ done: command.done(done) });
    } catch (error) {
      this.setState({ isBusy: false, error });
    }
    refresh();
  };

  form({ command }, { message, isBusy }) {
    return html`<form onSubmit=${this.confirm}>
      <p>${command.effect}</p>
      ${command.takesReason && html`<label for="reason">Reason</label>
        <input id="reason" maxlength="256" value=${message} onInput=${event => this.setState({ message: event.target.value })} />`}
      <p class="actions">
        <button type="submit" class=${command.isDanger ? 'danger' : 'primary'} disabled=${isBusy}>${command.verb}</button>
        <button type="button" onClick=${close}>Cancel</button>
      </p>
    </form>`;
  }

  render(props, shown) {
    const again = () => this.setState({ error: undefined });
    return html`<${Dialog} title=${props.command.title}>
      ${shown.error ? html`<${Failure} error=${shown.error} again=${again} />`
        : shown.done ? html`<p role="status" class="note good">${shown.done}</p>
          <p class="actions"><button type="button" class="primary" onClick=${close}>Close</button></p>`
        : this.form(props, shown)}
    </${Dialog}>`;
  }
}

export function command(command) {
  update({ dialog: () => html`<${CommandDialog} command=${command} />` });
}

// The id names the rollout and not the route: a command never meets a later one.
export function commandRollout(rollout, name) {
  const verb = `${name[0].toUpperCase()}${name.slice(1)}`;
  const names = rollout.routes.map(one => one.route).join(', ');
  command({
    title: `${verb} the rollout of ${rollout.to} on ${names}`,
    verb: name === 'rollback' ? 'Roll back now' : verb,
    effect: EFFECTS[name],
    method: 'POST',
    path: `v1/rollouts/${segment(rollout.id)}/${name}`,
    body: {},
    takesReason: true,
    isDanger: name === 'rollback' || name === 'abort',
    done: answer => `The rollout is ${words(answer.state)}; ${answer.to} has ${answer.weight} % of the route.`,
  });
}
