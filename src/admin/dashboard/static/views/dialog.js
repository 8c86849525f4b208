// A modal dialog. The browser keeps the focus inside and closes it with Escape.

import { Component, createRef, html } from '../html.js';
import { close } from '../store.js';

export class Dialog extends Component {
  box = createRef();

  opener = document.activeElement;

  componentDidMount() {
    this.box.current.showModal();
  }

  componentWillUnmount() {
    this.opener?.focus?.();
  }

  render({ title, children }) {
    return html`<dialog ref=${this.box} aria-labelledby="dialog-title" onClose=${close}>
      <h2 id="dialog-title">${title}</h2>
      ${children}
    </dialog>`;
  }
}
