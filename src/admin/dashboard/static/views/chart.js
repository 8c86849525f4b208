// A chart of lines over time, with marks where the table changed. The table behind it has the same points.

import { Component, createRef, html } from '../html.js';

const HEIGHT = 160;
const COLORS = { stable: '--stable', canary: '--canary', third: '--third', fourth: '--fourth', further: '--muted' };
const DASHES = { canary: [6, 3], third: [2, 3], fourth: [8, 3, 2, 3] };

// A color of the style sheet as the canvas needs it, of the scheme that is shown.
function color(box, name) {
  box.style.color = `var(${name})`;
  const shown = getComputedStyle(box).color;
  box.style.color = '';
  return shown;
}

const time = seconds => new Date(seconds * 1000).toLocaleTimeString('en-GB');

// Vertical lines where a revision went live.
function drawMarks(chart, marks) {
  const { ctx, bbox } = chart;
  ctx.save();
  ctx.strokeStyle = color(chart.root, '--text');
  ctx.setLineDash([2, 2]);
  for (const mark of marks) {
    const x = chart.valToPos(mark.time, 'x', true);
    if (x < bbox.left || x > bbox.left + bbox.width) continue;
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
  }
  ctx.restore();
}

export class Chart extends Component {
  box = createRef();

  dark = matchMedia('(prefers-color-scheme: dark)');

  componentDidMount() {
    this.draw();
    this.dark.addEventListener('change', this.draw);
    this.resizing = new ResizeObserver(() => this.chart?.setSize({ width: this.box.current.clientWidth, height: HEIGHT }));
    this.resizing.observe(this.box.current);
  }

  componentDidUpdate(before) {
    const names = props => props.lines.map(line => `${line.name} ${line.kind}`).join();
    if (names(before) === names(this.props)) this.chart.setData(this.data());
    else this.draw();
  }

  componentWillUnmount() {
    this.dark.removeEventListener('change', this.draw);
    this.resizing.disconnect();
    this.chart.destroy();
  }

  // Lines have the same times: they are of one report.
  data() {
    const { lines } = this.props;
    return [lines[0].times, ...lines.map(line => line.values)];
  }

  draw = () => {
    this.chart?.destroy();
    const { lines, unit } = this.props;
    const box = this.box.current;
    const axis = { stroke: color(box, '--text'), grid: { stroke: color(box, '--line'), width: 1 }, ticks: { show: false } };
    const options = {
      width: box.clientWidth,
      height: HEIGHT,
      legend: { show: false },
      cursor: { show: false },
      scales: { y: { range: (_, low, high) => [0, high > 0 ? high * 1.1 : 1] } },
      axes: [{ ...axis }, { ...axis, size: 70, values: (_, values) => values.map(value => unit(value)) }],
      series: [{}, ...lines.map(({ name, kind }) => ({
        label: name, stroke: color(box, COLORS[kind]), dash: DASHES[kind], width: 2, points: { show: false },
      }))],
      hooks: { draw: [chart => drawMarks(chart, this.props.marks)] },
    };
    this.chart = new uPlot(options, this.data(), box);
  };

  table({ name, lines, unit }) {
    return html`<details><summary>${name} as a table</summary>
      <div class="scroll" tabindex="0" role="region" aria-label="${name} as a table">
        <table><thead><tr><th scope="col">Time</th>${lines.map(line => html`<th key=${line.name} scope="col">${line.name}</th>`)}</tr></thead>
        <tbody>${lines[0].times.map((at, place) => html`<tr key=${at}>
          <th scope="row">${time(at)}</th>${lines.map(line => html`<td key=${line.name}>${line.values[place] === null ? '–' : unit(line.values[place])}</td>`)}
        </tr>`)}</tbody></table>
      </div>
    </details>`;
  }

  render(props) {
    const last = props.lines.map(line => `${line.name} ${line.values.at(-1) === null ? 'none' : props.unit(line.values.at(-1))}`);
    const marks = props.marks.map(mark => `${mark.name} at ${time(mark.time)}`).join(', ');
    return html`<figure>
      <figcaption>${props.name}${marks && html`<small> – ${marks}</small>`}</figcaption>
      <div ref=${this.box} role="img" aria-label="${props.name}; last: ${last.join(', ')}"></div>
      ${this.table(props)}
    </figure>`;
  }
}
