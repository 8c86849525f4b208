// A small line without axes, drawn as SVG: it scales with the text and needs no script of its own.

import { html } from '../html.js';

const WIDTH = 90;
const HEIGHT = 22;

function paths({ times, values }, top) {
  const x = place => (times.length < 2 ? 0 : (place / (times.length - 1)) * WIDTH);
  const y = value => HEIGHT - 1 - (top === 0 ? 0 : (value / top) * (HEIGHT - 2));
  let path = '';
  let isDown = false;
  values.forEach((value, place) => {
    if (value === null) {
      isDown = false;
      return;
    }
    path += `${isDown ? 'L' : 'M'}${x(place).toFixed(1)} ${y(value).toFixed(1)}`;
    if (!isDown && (values[place + 1] ?? null) === null) path += 'h0.5';
    isDown = true;
  });
  return path;
}

function trend(values) {
  const half = Math.floor(values.length / 2);
  const mean = part => part.reduce((sum, value) => sum + value, 0) / Math.max(part.length, 1);
  const [before, after] = [mean(values.slice(0, half)), mean(values.slice(half))];
  if (Math.abs(after - before) <= 0.1 * Math.max(before, after)) return 'steady';
  return after > before ? 'rising' : 'falling';
}

export function Sparkline({ label, line, unit }) {
  const known = line.values.filter(value => value !== null);
  if (known.length === 0) return null;
  const top = Math.max(...known);
  const words = `${label}: last ${unit(known.at(-1))}, at most ${unit(top)}, ${trend(known)}`;
  return html`<svg class="sparkline" role="img" aria-label=${words} viewBox="0 0 ${WIDTH} ${HEIGHT}"
    width=${WIDTH} height=${HEIGHT}><path d=${paths(line, top)} /></svg>`;
}
