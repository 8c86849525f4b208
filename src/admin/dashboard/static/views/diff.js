// Differences between two tables: what was, and what will be.

import { html } from '../html.js';
import { percent } from '../format.js';

const MOST = 100;

const text = value => (value === undefined ? '–' : typeof value === 'string' ? value : JSON.stringify(value));

export function Diff({ entries, caption }) {
  if (entries.length === 0) return html`<p>No differences.</p>`;
  return html`<div class="scroll" tabindex="0" role="region" aria-label=${caption}>
    <table class="diff">
      <caption>${caption}</caption>
      <thead><tr><th scope="col">Field</th><th scope="col">Before</th><th scope="col">After</th></tr></thead>
      <tbody>${entries.slice(0, MOST).map(entry => html`<tr key=${entry.path}>
        <th scope="row">${entry.path}</th>
        <td class="before">${text(entry.before)}${entry.share && ` (${percent(entry.share.before)})`}</td>
        <td class="after">${text(entry.after)}${entry.share && ` (${percent(entry.share.after)})`}</td>
      </tr>`)}</tbody>
    </table>
    ${entries.length > MOST && html`<p>And ${entries.length - MOST} more.</p>`}
  </div>`;
}
