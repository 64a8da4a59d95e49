// What the page shows, in its address, so that a link shows the same: the opened job, the drawn
// ones, the sweep, the list's filter and order, and how curves are drawn.

/** Name in the address → [value if it is absent, from text, to text]. */
const list = [[], (text) => text.split(',').filter(Boolean), (value) => value.join(',')];
const word = ['', String, String];
const PARTS = {
  job: word, draw: list, sweep: word, state: word, search: word, sort: ['newest', String, String],
  log: [false, (text) => text === '1', (value) => (value ? '1' : '')],
  smooth: [0, (text) => Math.min(Math.max(Number(text) || 0, 0), 0.99), String],
  hide: list,
};

function read() {
  const given = new URLSearchParams(location.hash.slice(1));
  return Object.fromEntries(Object.entries(PARTS).map(([name, [absent, from]]) => [name, given.has(name) ? from(given.get(name)) : absent]));
}

export class Address {
  /** `moved` is called after the user went back or changed the address. */
  constructor(moved) {
    this.view = read();
    addEventListener('popstate', () => { this.view = read(); moved(); });
  }

  /** Changes parts of the view; another opened job is an entry of the browser's history. */
  set(parts) {
    const opens = parts.job !== undefined && parts.job !== this.view.job && this.view.job !== '';
    Object.assign(this.view, parts);
    const shown = new URLSearchParams();
    for (const [name, [absent, , to]] of Object.entries(PARTS)) {
      const text = to(this.view[name]);
      if (text !== to(absent)) shown.set(name, text);
    }
    // Commas and slashes are legible as they are.
    const hash = shown.toString().replaceAll('%2C', ',');
    const address = hash ? `#${hash}` : location.pathname;
    if (opens) history.pushState(null, '', address);
    else history.replaceState(null, '', address);
  }
}
