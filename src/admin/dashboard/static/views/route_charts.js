// The charts of a route, drawn while they are open, each with a table of the same points behind it.

import { Component, html } from '../html.js';
import { number, percent, seconds } from '../format.js';
import { SERIES, kpisOfRoute } from '../figures.js';
import { Chart } from './chart.js';
import { kindOf } from './split_bar.js';

const CHARTS = [
  { name: 'Requests/s', of: 'rate', unit: number },
  { name: 'Failures', of: 'failures', unit: percent },
  { name: 'Duration p95', of: 'p95', unit: seconds },
  { name: 'First byte p95', of: 'firstByte', unit: seconds },
];

export class RouteCharts extends Component {
  state = { isOpen: false };

  toggle = event => this.setState({ isOpen: event.target.open });

  chart(route, kpis, { name, of, unit }) {
    const lines = kpis.releases.filter(entry => entry.points).map(entry => ({
      name: entry.release, kind: kindOf(route, entry.release), ...SERIES[of](entry.points),
    }));
    const marks = (kpis.marks ?? []).map(mark => ({ time: Date.parse(mark.at) / 1000, name: `revision ${mark.revision}` }));
    return lines.length > 0 && html`<${Chart} key=${of} name="${name} of ${route.name}" lines=${lines} marks=${marks} unit=${unit} />`;
  }

  render({ route }, { isOpen }) {
    const kpis = kpisOfRoute(route.name);
    return html`<details onToggle=${this.toggle}><summary>Charts</summary>
      ${isOpen && kpis && html`<div class="charts">${CHARTS.map(chart => this.chart(route, kpis, chart))}</div>`}
    </details>`;
  }
}
