// The form that exchanges a token for a session.

import { Component, createRef, html } from '../html.js';
import { logIn } from '../session.js';
import { listen } from '../events.js';
import { refresh } from '../feed.js';

export class Login extends Component {
  state = { error: undefined, isBusy: false };

  field = createRef();

  componentDidMount() {
    this.field.current.focus();
  }

  submit = async event => {
    event.preventDefault();
    this.setState({ isBusy: true, error: undefined });
    try {
      await logIn(this.field.current.value.trim());
      refresh();
      listen();
    } catch (error) {
      this.field.current.value = '';
      this.setState({ isBusy: false, error: error.message });
      this.field.current.focus();
    }
  };

  render(_, { error, isBusy }) {
    return html`<main class="login">
      <h1>switchback</h1>
      <form onSubmit=${this.submit}>
        <label for="token">Token</label>
        <input id="token" ref=${this.field} type="password" autocomplete="current-password" required
          aria-describedby="token-help" aria-invalid=${error ? 'true' : undefined} />
        <p id="token-help">It is exchanged for a cookie that ends after 12 hours and that no script can read.</p>
        <p role="alert" class="bad">${error}</p>
        <button type="submit" disabled=${isBusy}>Log in</button>
      </form>
    </main>`;
  }
}
