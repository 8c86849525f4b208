// Revisions: who, when and why, what they changed, and the way to any of them.

import { Component, html } from '../html.js';
import { get } from '../api.js';
import { ago, cause, clock, words } from '../format.js';
import { rollback } from '../changes.js';
import { BackupCard } from '../views/backup_card.js';
import { offer } from '../views/change_dialog.js';
import { Diff } from '../views/diff.js';
import { RevisionDetail } from '../views/revision_detail.js';

const PAGE = 50;

function Drift({ drift }) {
  if (!drift.imported) return html`<p>No configuration file was imported.</p>`;
  if (!drift.drifted && !drift.refused) return html`<p>The table is that of the configuration file.</p>`;
  return html`<section class="card" aria-labelledby="drift">
    <h2 id="drift">Difference from the file</h2>
    ${drift.refused && html`<p class="note bad">A later version of the file could not be imported.</p>`}
    <${Diff} entries=${drift.diff} caption="Before: the file; after: live" />
  </section>`;
}

function Row({ revision, session, isOpen, toggle }) {
  const { revision: number, author, verification } = revision;
  const canGo = session.may_change && !revision.live && revision.cause.kind !== 'void';
  return html`<tr>
    <th scope="row"><button type="button" class="quiet" aria-expanded=${isOpen} onClick=${toggle}>${number}</button></th>
    <td data-label="When"><time datetime=${revision.published_at} title=${clock(revision.published_at)}>${ago(revision.published_at)}</time></td>
    <td data-label="Who">${author.name}</td>
    <td data-label="Cause">${cause(revision.cause)}</td>
    <td data-label="Why">${author.message}</td>
    <td data-label="State">
      ${revision.live && html`<span class="chip good">live</span> `}
      ${revision.undoable && !revision.live && html`<span class="chip plain">on the way back</span> `}
      ${!revision.durable && html`<span class="chip bad">not durable</span> `}
      ${verification && html`<a class="chip plain" href="#/verifications">${words(verification.verdict)}</a>`}
    </td>
    <td>${canGo && html`<button type="button" class="danger" onClick=${() => offer(rollback(number))}>Roll back to ${number}</button>`}</td>
  </tr>
  ${isOpen && html`<tr><td colspan="7"><${RevisionDetail} number=${number} /></td></tr>`}`;
}

export class History extends Component {
  state = { revisions: [], next: undefined, filter: '', open: undefined, error: undefined };

  componentDidMount() {
    this.read();
  }

  // A new revision is live: the list begins with it.
  componentDidUpdate(before) {
    if (before.status.revision !== this.props.status.revision) this.read();
  }

  read = async before => {
    const isMore = typeof before === 'number';
    try {
      const page = await get(`v1/revisions?limit=${PAGE}${isMore ? `&before=${before}` : ''}`);
      const revisions = isMore ? [...this.state.revisions, ...page.revisions] : page.revisions;
      this.setState({ revisions, next: page.next, error: undefined });
    } catch (error) {
      this.setState({ error });
    }
  };

  matching() {
    const wanted = this.state.filter.trim().toLowerCase();
    return this.state.revisions.filter(({ revision, author, cause: why }) =>
      `${revision} ${author.name} ${author.message ?? ''} ${cause(why)}`.toLowerCase().includes(wanted));
  }

  table(session, open) {
    const heads = ['Revision', 'When', 'Who', 'Cause', 'Why', 'State', 'Way back'];
    return html`<div class="scroll" tabindex="0" role="region" aria-label="Revisions">
      <table class="rows">
        <thead><tr>${heads.map(head => html`<th key=${head} scope="col">${head}</th>`)}</tr></thead>
        <tbody>${this.matching().map(revision => html`<${Row} key=${revision.revision} revision=${revision} session=${session}
          isOpen=${open === revision.revision}
          toggle=${() => this.setState({ open: open === revision.revision ? undefined : revision.revision })} />`)}</tbody>
      </table>
    </div>`;
  }

  render({ status, session }, { next, filter, open, error }) {
    return html`
      <${Drift} drift=${status.drift} />
      <${BackupCard} backup=${status.backup} />
      <p><label for="filter">Filter the revisions shown</label>
        <input id="filter" type="search" value=${filter} onInput=${event => this.setState({ filter: event.target.value })} /></p>
      ${error && html`<p role="alert" class="note bad">${error.message}</p>`}
      ${this.table(session, open)}
      ${next !== undefined && html`<button type="button" onClick=${() => this.read(next)}>Earlier revisions</button>`}
    `;
  }
}
