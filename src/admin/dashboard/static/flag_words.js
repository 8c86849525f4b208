// Rules of flags as words.

const text = value => (typeof value === 'string' ? value : JSON.stringify(value));

const bounds = { at_least: 'at least', above: 'above', at_most: 'at most', below: 'below' };

const range = limits => Object.entries(limits).map(([bound, limit]) => `${bounds[bound]} ${limit}`).join(' and ');

function comparison({ attribute, ...condition }) {
  const [[name, value]] = Object.entries(condition);
  switch (name) {
    case 'equals': return `${attribute} is ${text(value)}`;
    case 'in': return `${attribute} is one of ${value.map(text).join(', ')}`;
    case 'starts_with': return `${attribute} begins with ${value}`;
    case 'ends_with': return `${attribute} ends with ${value}`;
    case 'present': return value ? `${attribute} is given` : `${attribute} is not given`;
    default: return `${attribute} is ${range(value)}`;
  }
}

// The contexts that a rule matches; `place` is its place among the rules, of which the first that matches decides.
export function conditionWords(when, place) {
  if (when !== undefined && when.length > 0) return when.map(comparison).join(', and ');
  return place === 0 ? 'everybody' : 'everybody else';
}

// Percents of the variants of a rule.
export function percents(split) {
  const all = Object.values(split).reduce((sum, weight) => sum + weight, 0);
  return Object.fromEntries(Object.entries(split).map(([variant, weight]) => [variant, (weight * 100) / all]));
}

export const shareWords = split => Object.entries(percents(split))
  .filter(([, percent]) => percent > 0)
  .map(([variant, percent]) => (percent === 100 ? variant : `${variant} ${Number(percent.toFixed(2))} %`))
  .join(', ');
