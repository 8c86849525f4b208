// What is left on a release that drains, with its age.

import { Component, html } from '../html.js';
import { get, segment } from '../api.js';
import { count, seconds, words } from '../format.js';

const INTERVAL = 2_000;

export class Work extends Component {
  state = { work: undefined };

  componentDidMount() {
    this.read();
  }

  componentWillUnmount() {
    clearTimeout(this.timer);
    this.isGone = true;
  }

  read = async () => {
    try {
      this.setState({ work: await get(`v1/releases/${segment(this.props.release)}/work`) });
    } catch {
      // The release is gone; the next status says so.
      this.setState({ work: undefined });
    }
    if (!this.isGone) this.timer = setTimeout(this.read, INTERVAL);
  };

  render(_, { work }) {
    const classes = work?.classes.filter(entry => entry.count > 0) ?? [];
    if (classes.length === 0) return null;
    return html`<p>${words(work.state)}: ${classes.map(entry => `${count(entry.count, words(entry.class))}, the oldest ${seconds(entry.oldest_seconds)}`).join('; ')}</p>`;
  }
}
