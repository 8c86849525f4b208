// The state of the page: one object, and a listener that draws it again.

export const state = {
  // Caller and permissions, `undefined` until they are known.
  session: undefined,
  // Status of the table with the time of its arrival, by the clock of this browser.
  status: undefined,
  statusAt: 0,
  // Key figures of the routes, which come with the status.
  figures: undefined,
  // The latest events, the latest first.
  events: [],
  // Error of the last request for the status.
  lost: undefined,
  // The open dialog: a function that draws it.
  dialog: undefined,
  page: 'now',
  // Route after which the shown page of a large table begins.
  after: undefined,
};

let draw = () => {};
let isDue = false;

export function onChange(listener) {
  draw = listener;
}

export function update(changes) {
  Object.assign(state, changes);
  if (isDue) return;
  isDue = true;
  queueMicrotask(() => {
    isDue = false;
    draw();
  });
}

export const close = () => update({ dialog: undefined });

// Milliseconds since the start of the page, unmoved by changes of the clock.
export const now = () => performance.now();
