// Percents of a split, by number and by slider. With two releases the other one takes the rest.

import { Component, html } from '../html.js';
import { shift } from '../changes.js';
import { close } from '../store.js';
import { offer } from './change_dialog.js';
import { Dialog } from './dialog.js';

const tenths = share => Math.round(share * 1000) / 10;

export class WeightsForm extends Component {
  state = { percents: Object.fromEntries(this.props.route.split.map(({ release, share }) => [release, tenths(share)])) };

  set(release, text) {
    const value = Math.min(100, Math.max(0, Math.round(Number(text) * 10) / 10));
    const percents = { ...this.state.percents, [release]: value };
    const others = Object.keys(percents).filter(name => name !== release);
    if (others.length === 1) percents[others[0]] = Math.round((100 - value) * 10) / 10;
    this.setState({ percents });
  }

  submit = event => {
    event.preventDefault();
    offer(shift(this.props.route.name, this.state.percents));
  };

  row(release, percent) {
    const id = `weight-${release}`;
    const set = event => this.set(release, event.target.value);
    return html`<div class="weight" key=${release}>
      <label for=${id}>${release}</label>
      <input type="range" min="0" max="100" step="1" value=${percent} onInput=${set} aria-label="${release}, percent" />
      <input id=${id} type="number" min="0" max="100" step="0.1" required value=${percent} onChange=${set} />
      <span aria-hidden="true">%</span>
    </div>`;
  }

  render({ route }, { percents }) {
    const total = Object.values(percents).reduce((sum, percent) => sum + percent, 0);
    const isWhole = Math.abs(total - 100) < 0.05;
    return html`<${Dialog} title="Shift weights of ${route.name}">
      <form onSubmit=${this.submit}>
        ${Object.entries(percents).map(([release, percent]) => this.row(release, percent))}
        <p role="status" class=${isWhole ? '' : 'bad'}>${isWhole ? 'In all 100 %.' : `In all ${Number(total.toFixed(1))} %: it has to be 100 %.`}</p>
        <p class="actions">
          <button type="submit" class="primary" disabled=${!isWhole}>Look what it does</button>
          <button type="button" onClick=${close}>Cancel</button>
        </p>
      </form>
    </${Dialog}>`;
  }
}
