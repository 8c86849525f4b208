// A running rollout: how far it is, its verdict, and its commands.

import { html } from '../html.js';
import { words } from '../format.js';
import { commandRollout } from './command_dialog.js';

const COMMANDS = {
  planned: ['abort'],
  running: ['pause', 'promote', 'rollback'],
  paused: ['resume', 'promote', 'rollback'],
  baking: ['pause', 'promote', 'rollback'],
};

export function commandsOf({ state, paused_for: reason }) {
  const commands = COMMANDS[state] ?? [];
  return reason === 'approval' ? ['approve', ...commands.filter(command => command !== 'resume')] : commands;
}

export function RolloutCommands({ rollout }) {
  return html`<div class="actions" role="group" aria-label="Commands of the rollout of ${rollout.to}">
    ${commandsOf(rollout).map(command => html`<button key=${command} type="button"
      class=${command === 'rollback' || command === 'abort' ? 'danger' : ''}
      onClick=${() => commandRollout(rollout, command)}>${command === 'rollback' ? 'Roll back rollout' : `${command[0].toUpperCase()}${command.slice(1)}`}</button>`)}
  </div>`;
}

export function RolloutPanel({ rollout, session }) {
  const { from, to, state, steps, step, weight } = rollout;
  return html`<div class="rollout">
    <div class="row">
      <p><a href="#/rollouts">Rollout</a> of <strong>${to}</strong> over ${from}:
        ${' '}<span class="chip ${state === 'paused' ? 'warn' : 'good'}">${words(state)}</span>
        ${rollout.paused_for && ` for ${words(rollout.paused_for)}`}, step ${step + 1} of ${steps}, ${weight} %</p>
      ${session.may_change && html`<${RolloutCommands} rollout=${rollout} />`}
    </div>
    <p aria-live="polite">${rollout.verdict}</p>
    ${rollout.waiting_for && html`<p class="note warn">${rollout.waiting_for}</p>`}
  </div>`;
}
