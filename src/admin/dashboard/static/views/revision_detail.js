// What a revision changed.

import { Component, html } from '../html.js';
import { get } from '../api.js';
import { Diff } from './diff.js';

export class RevisionDetail extends Component {
  state = { detail: undefined, error: undefined };

  async componentDidMount() {
    try {
      this.setState({ detail: await get(`v1/revisions/${this.props.number}`) });
    } catch (error) {
      this.setState({ error });
    }
  }

  render({ number }, { detail, error }) {
    if (error) return html`<p role="alert" class="note bad">${error.message}</p>`;
    if (!detail) return html`<p>Reading …</p>`;
    if (!detail.diff) return html`<p>The revision before it is not kept any more.</p>`;
    return html`<${Diff} entries=${detail.diff} caption="Changed by revision ${number}" />`;
  }
}
