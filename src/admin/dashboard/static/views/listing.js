// A list that a page reads by itself and keeps up to date while it is shown.

import { Component, html } from '../html.js';
import { get } from '../api.js';

const INTERVAL = 2_000;

export class Listing extends Component {
  state = { list: undefined, error: undefined };

  componentDidMount() {
    this.read();
  }

  componentWillUnmount() {
    clearTimeout(this.timer);
    this.isGone = true;
  }

  read = async () => {
    clearTimeout(this.timer);
    try {
      this.setState({ list: await get(this.props.path), error: undefined });
    } catch (error) {
      this.setState({ error });
    }
    if (!this.isGone) this.timer = setTimeout(this.read, INTERVAL);
  };

  render({ children }, { list, error }) {
    return html`
      ${error && html`<p role="alert" class="note bad">${error.message}</p>`}
      ${list ? children(list) : html`<p>Reading …</p>`}
    `;
  }
}
