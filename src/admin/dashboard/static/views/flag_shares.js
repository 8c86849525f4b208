// Percents of a flag's variants among all who match no other rule.

import { Component, html } from '../html.js';
import { rulesOfFlag } from '../changes.js';
import { percents } from '../flag_words.js';
import { close } from '../store.js';
import { offer } from './change_dialog.js';
import { Dialog } from './dialog.js';

// Weights are out of as many parts: hundredths of a percent.
const PARTS = 100;

const hundredths = value => Math.round(value * PARTS) / PARTS;

// The rule for everybody comes last, so it is replaced where there is one and added otherwise.
function withShares(flag, shares) {
  const split = Object.fromEntries(Object.entries(shares).map(([variant, percent]) => [variant, Math.round(percent * PARTS)]));
  const conditional = (flag.rules ?? []).filter(rule => rule.when?.length > 0);
  return [...conditional, { split }];
}

export class FlagShares extends Component {
  state = { texts: this.begin(this.props.flag) };

  begin(flag) {
    const rule = (flag.rules ?? []).find(rule => !rule.when?.length);
    const shares = percents(rule?.split ?? { [flag.default]: 1 });
    return Object.fromEntries(Object.keys(flag.variants).map(variant => [variant, String(hundredths(shares[variant] ?? 0))]));
  }

  // The default variant takes the rest, as `switchback flag rollout` has it.
  set(variant, text) {
    const texts = { ...this.state.texts, [variant]: text };
    const { default: rest } = this.props.flag;
    if (variant !== rest) {
      const given = Object.entries(texts).filter(([name]) => name !== rest).reduce((sum, [, percent]) => sum + Number(percent), 0);
      texts[rest] = String(Math.max(0, hundredths(100 - given)));
    }
    this.setState({ texts });
  }

  submit = event => {
    event.preventDefault();
    const { name, flag } = this.props;
    const shares = Object.fromEntries(Object.entries(this.state.texts).map(([variant, text]) => [variant, Number(text)]));
    offer(rulesOfFlag(name, withShares(flag, shares)));
  };

  row(variant, text) {
    const id = `share-${variant}`;
    const set = event => this.set(variant, event.target.value);
    return html`<div class="weight" key=${variant}>
      <label for=${id}>${variant}</label>
      <input type="range" min="0" max="100" step="1" value=${Number(text)} onInput=${set} aria-label="${variant}, percent" />
      <input id=${id} type="number" min="0" max="100" step="0.01" required value=${text} onInput=${set} />
      <span aria-hidden="true">%</span>
    </div>`;
  }

  render({ name }, { texts }) {
    const total = hundredths(Object.values(texts).reduce((sum, text) => sum + Number(text), 0));
    const isWhole = total === 100;
    return html`<${Dialog} title="Shares of ${name}">
      <form onSubmit=${this.submit}>
        <p>Of all who match no other rule. Who has a variant keeps it while its percent grows.</p>
        ${Object.entries(texts).map(([variant, text]) => this.row(variant, text))}
        <p role="status" class=${isWhole ? '' : 'bad'}>${isWhole ? 'In all 100 %.' : `In all ${total} %: it has to be 100 %.`}</p>
        <p class="actions">
          <button type="submit" class="primary" disabled=${!isWhole}>Look what it does</button>
          <button type="button" onClick=${close}>Cancel</button>
        </p>
      </form>
    </${Dialog}>`;
  }
}
