// What a revision changed, and its effect on the traffic.

import { Component, html } from '../html.js';
import { get } from '../api.js';
import { Diff } from './diff.js';
import { Effect } from './effect.js';

export class RevisionDetail extends Component {
  state = { detail: undefined, effect: undefined, error: undefined };

  async componentDidMount() {
    const path = `v1/revisions/${this.props.number}`;
    try {
      const [detail, effect] = await Promise.all([get(path), get(`${path}/effect`)]);
      this.setState({ detail, effect });
    } catch (error) {
      this.setState({ error });
    }
  }

  render({ number }, { detail, effect, error }) {
    if (error) return html`<p role="alert" class="note bad">${error.message}</p>`;
    if (!detail) return html`<p>Reading …</p>`;
    return html`
      ${detail.diff ? html`<${Diff} entries=${detail.diff} caption="Changed by revision ${number}" />`
        : html`<p>The revision before it is not kept any more.</p>`}
      <${Effect} effect=${effect} />
    `;
  }
}
