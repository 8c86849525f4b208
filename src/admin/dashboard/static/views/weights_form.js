// Percents of a split, by number and by slider. With two releases the other one takes the rest.

import { Component, html } from '../html.js';
import { shift } from '../changes.js';
import { close } from '../store.js';
import { offer } from './change_dialog.js';
import { Dialog } from './dialog.js';

const tenths = value => Math.round(value * 10) / 10;

const numbers = texts => Object.fromEntries(Object.entries(texts).map(([release, text]) => [release, tenths(Number(text))]));

export class WeightsForm extends Component {
  // What is in the fields: a number that is being typed is not one yet.
  state = {
    texts: Object.fromEntries(this.props.route.split.map(({ release, share }) => [release, String(tenths(share * 100))])),
  };

  set(release, text) {
    const texts = { ...this.state.texts, [release]: text };
    const others = Object.keys(texts).filter(name => name !== release);
    if (others.length === 1 && text !== '') texts[others[0]] = String(Math.max(0, tenths(100 - Number(text))));
    this.setState({ texts });
  }

  submit = event => {
    event.preventDefault();
    offer(shift(this.props.route.name, numbers(this.state.texts)));
  };

  row(release, text) {
    const id = `weight-${release}`;
    const set = event => this.set(release, event.target.value);
    return html`<div class="weight" key=${release}>
      <label for=${id}>${release}</label>
      <input type="range" min="0" max="100" step="1" value=${Number(text)} onInput=${set} aria-label="${release}, percent" />
      <input id=${id} type="number" min="0" max="100" step="0.1" required value=${text} onInput=${set} />
      <span aria-hidden="true">%</span>
    </div>`;
  }

  render({ route }, { texts }) {
    const total = tenths(Object.values(numbers(texts)).reduce((sum, percent) => sum + percent, 0));
    const isWhole = total === 100;
    return html`<${Dialog} title="Shift weights of ${route.name}">
      <form onSubmit=${this.submit}>
        ${Object.entries(texts).map(([release, text]) => this.row(release, text))}
        <p role="status" class=${isWhole ? '' : 'bad'}>${isWhole ? 'In all 100 %.' : `In all ${total} %: it has to be 100 %.`}</p>
        <p class="actions">
          <button type="submit" class="primary" disabled=${!isWhole}>Look what it does</button>
          <button type="button" onClick=${close}>Cancel</button>
        </p>
      </form>
    </${Dialog}>`;
  }
}
