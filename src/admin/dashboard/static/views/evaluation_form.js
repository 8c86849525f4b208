// The variant that one user gets, with the reason.

import { Component, html } from '../html.js';
import { get, segment } from '../api.js';
import { close } from '../store.js';
import { Dialog } from './dialog.js';

export class EvaluationForm extends Component {
  state = { key: '', attributes: '', found: undefined, error: undefined };

  submit = async event => {
    event.preventDefault();
    const { key, attributes } = this.state;
    const query = new URLSearchParams(key === '' ? {} : { key });
    for (const line of attributes.split('\n')) if (line.trim() !== '') query.append('attr', line.trim());
    try {
      this.setState({ found: await get(`v1/flags/${segment(this.props.name)}/evaluate?${query}`), error: undefined });
    } catch (error) {
      this.setState({ found: undefined, error });
    }
  };

  set = name => event => this.setState({ [name]: event.target.value });

  render({ name }, { key, attributes, found, error }) {
    return html`<${Dialog} title="Who gets what of ${name}">
      <form onSubmit=${this.submit}>
        <label for="evaluation-key">Key, such as the id of a user</label>
        <input id="evaluation-key" value=${key} onInput=${this.set('key')} />
        <label for="evaluation-attributes">Attributes, one on each line, such as plan=pro</label>
        <textarea id="evaluation-attributes" rows="3" value=${attributes} onInput=${this.set('attributes')}></textarea>
        <div role="status">
          ${found && html`<p class="note good"><strong>${found.variant}</strong> = <code>${JSON.stringify(found.value)}</code>:
            ${' '}${found.reason}${found.rule !== undefined && `, rules[${found.rule}]`}, revision ${found.revision}</p>`}
          ${error && html`<p class="note bad">${error.message}</p>`}
        </div>
        <p class="actions">
          <button type="submit" class="primary">Look up</button>
          <button type="button" onClick=${close}>Close</button>
        </p>
      </form>
    </${Dialog}>`;
  }
}
