// A running rollout: how far it is, its verdict, and its commands.

import { html } from '../html.js';
import { words } from '../format.js';
import { commandRollout } from './command_dialog.js';
import { RolloutReturn } from './going_back.js';

const COMMANDS = {
  planned: ['abort'],
  running: ['pause', 'skip', 'promote', 'abort', 'rollback'],
  paused: ['resume', 'skip', 'promote', 'abort', 'rollback'],
  baking: ['pause', 'skip', 'promote', 'abort', 'rollback'],
  succeeded: ['rollback'],
};

const LABELS = {
  pause: 'Pause', resume: 'Resume', approve: 'Approve', skip: 'Skip step', promote: 'Promote', abort: 'Abort rollout',
  rollback: 'Roll back rollout',
};

function commandsOf({ state, paused_for: reason }) {
  const commands = COMMANDS[state] ?? [];
  return reason === 'approval' ? ['approve', ...commands.filter(command => command !== 'resume')] : commands;
}

export function RolloutCommands({ rollout }) {
  const commands = commandsOf(rollout);
  return commands.length > 0 && html`<div class="actions" role="group" aria-label="Commands of the rollout of ${rollout.to}">
    ${commands.map(command => html`<button key=${command} type="button"
      class=${command === 'rollback' || command === 'abort' ? 'danger' : ''}
      onClick=${() => commandRollout(rollout, command)}>${LABELS[command]}</button>`)}
  </div>`;
}

export function RolloutPanel({ rollout, route, session }) {
  const { state, steps, step, routes } = rollout;
  const { from, to, weight, verdict } = routes.find(one => one.route === route);
  return html`<div class="rollout">
    <div class="row">
      <p><a href="#/rollouts">Rollout</a> of <strong>${to}</strong> over ${from}:
        ${' '}<span class="chip ${state === 'paused' ? 'warn' : 'good'}">${words(state)}</span>
        ${rollout.paused_for && ` for ${words(rollout.paused_for)}`}, step ${step + 1} of ${steps}, ${weight} %
        ${routes.length > 1 && `; with ${routes.filter(one => one.route !== route).map(one => one.route).join(', ')}`}</p>
      ${session.may_change && html`<${RolloutCommands} rollout=${rollout} />`}
    </div>
    <p aria-live="polite">${verdict ?? rollout.verdict}</p>
    <${RolloutReturn} rollout=${rollout} session=${session} />
    ${rollout.waiting_for && html`<p class="note warn">${rollout.waiting_for}</p>`}
  </div>`;
}
