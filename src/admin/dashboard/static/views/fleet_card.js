// The fleet of proxies that share the table: the state of this node, the others, and the disputes with the two ways to end them.

import { html } from '../html.js';
import { ago, clock, count } from '../format.js';
import { command } from './command_dialog.js';

const STATES = {
  following: ['good', 'follows the fleet'],
  alone: ['warn', 'is without etcd'],
  stopped: ['bad', 'has stopped following'],
};

const SIDES = {
  mine: ['Keep mine', 'What is live on this node becomes what the fleet has.'],
  theirs: ['Keep theirs', 'What the fleet has becomes live on this node.'],
};

function keep(side) {
  const [verb, effect] = SIDES[side];
  command({
    title: 'End the dispute of this node',
    verb,
    effect,
    method: 'POST',
    path: 'v1/fleet/keep',
    body: { keep: side },
    takesReason: false,
    isDanger: true,
    done: fleet => `It is decided; this node ${STATES[fleet.state]?.[1]} at revision ${fleet.revision}.`,
  });
}

const part = rollback => Object.entries(rollback.part).map(([kind, name]) => `${kind} ${name}`).join();

function Dispute({ fleet, session }) {
  const disputed = (fleet.rollbacks ?? []).filter(rollback => rollback.disputed);
  if (disputed.length === 0 && fleet.state !== 'stopped') return null;
  return html`<div class="row">
    <p class="note bad"><strong>In dispute:</strong> ${disputed.length > 0
      ? `${disputed.map(part).join(', ')} went back here, and somebody changed it elsewhere.`
      : 'the store is not the one that this node followed.'}</p>
    ${session.may_change && html`<p class="actions">
      <button type="button" onClick=${() => keep('mine')}>Keep mine</button>
      <button type="button" onClick=${() => keep('theirs')}>Keep theirs</button>
    </p>`}
  </div>`;
}

// What a node without the store knows of the others is old.
function standing(node, { last, isOld }) {
  if (isOld) return ['', 'not known now'];
  if (node.reason !== undefined) return ['bad', node.reason];
  if (node.disputed > 0) return ['bad', `${node.disputed} in dispute`];
  const behind = Math.max(last - node.revision, 0);
  return behind === 0 ? ['good', 'current'] : ['warn', `${behind} behind`];
}

function Node({ node, fleet, last }) {
  const isOld = fleet.state !== 'following' && node.node !== fleet.node;
  const [tone, text] = standing(node, { last, isOld });
  return html`<tr>
    <th scope="row">${node.node}</th>
    <td>${node.revision}</td>
    <td><span class="chip ${tone}">${text}</span></td>
    <td><time datetime=${node.reported_at} title=${clock(node.reported_at)}>${ago(node.reported_at)}</time></td>
  </tr>`;
}

export function FleetCard({ fleet, session }) {
  if (fleet === undefined) return null;
  const { nodes = [], rollbacks = [] } = fleet;
  const last = Math.max(fleet.revision, ...nodes.map(node => node.revision));
  const [tone, state] = STATES[fleet.state] ?? ['', ''];
  const waiting = rollbacks.filter(rollback => !rollback.disputed);
  return html`<section class="card fleet" aria-labelledby="fleet">
    <h2 id="fleet">Fleet</h2>
    <p>${fleet.node} <span class="chip ${tone}">${state}</span> at revision ${fleet.revision}; the fleet has ${count(fleet.node_count, 'node')}.</p>
    ${fleet.reason && html`<p class="note warn">${fleet.reason}</p>`}
    ${waiting.length > 0 && html`<p class="note warn">Rolled back here, and not in the fleet yet: ${waiting.map(part).join(', ')}.</p>`}
    <${Dispute} fleet=${fleet} session=${session} />
    ${nodes.length > 0 && html`<div class="scroll" tabindex="0" role="region" aria-label="Nodes of the fleet"><table>
      <caption>Nodes</caption>
      <thead><tr><th scope="col">Node</th><th scope="col">Revision</th><th scope="col">State</th><th scope="col">Reported</th></tr></thead>
      <tbody>${nodes.map(node => html`<${Node} key=${node.node} node=${node} fleet=${fleet} last=${last} />`)}</tbody>
    </table></div>`}
  </section>`;
}
