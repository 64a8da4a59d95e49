// The drawing: strokes by mouse, pen and finger, kept as points so that they can be undone and
// redrawn in other colours. The visible canvas has the colours of the theme; what is sent does not.

/** Width of a stroke, as a share of the paper's: as MNIST's, if a digit fills most of the paper. */
const PEN = 0.068;

export class Paper {
  /** `changed` is called after each change. */
  constructor(element, changed) {
    this.element = element;
    this.changed = changed;
    this.canvas = element.querySelector('canvas');
    this.context = this.canvas.getContext('2d', { alpha: false, willReadFrequently: true });
    this.strokes = [];
    this.pointer = null;
    /** Whether dark ink on white is sent instead of light ink on black. */
    this.darkOnWhite = false;
    element.addEventListener('pointerdown', (event) => this.#down(event));
    element.addEventListener('pointermove', (event) => this.#move(event));
    for (const end of ['pointerup', 'pointercancel', 'lostpointercapture']) {
      element.addEventListener(end, (event) => { if (event.pointerId === this.pointer) this.pointer = null; });
    }
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.draw());
    this.draw();
  }

  get blank() { return this.strokes.length === 0; }

  /** Begins a stroke at a place from 0 to 1 in both directions. */
  begin(x, y) {
    this.strokes.push([[x, y]]);
    segment(this.context, this.strokes.at(-1), 0);
    this.changed();
  }

  /** Extends the last stroke. */
  extend(x, y) {
    const stroke = this.strokes.at(-1);
    stroke.push([x, y]);
    segment(this.context, stroke, stroke.length - 1);
    this.changed();
  }

  undo() {
    this.strokes.pop();
    this.#redraw();
  }

  clear() {
    this.strokes = [];
    this.#redraw();
  }

  /** The bytes of the picture as a PNG. */
  async png() {
    const canvas = document.createElement('canvas');
    canvas.width = this.canvas.width;
    canvas.height = this.canvas.height;
    const [paper, ink] = this.darkOnWhite ? ['#fff', '#000'] : ['#000', '#fff'];
    paint(canvas.getContext('2d', { alpha: false }), this.strokes, paper, ink);
    const blob = await new Promise((done) => canvas.toBlob(done, 'image/png'));
    return new Uint8Array(await blob.arrayBuffer());
  }

  draw() {
    const style = getComputedStyle(document.documentElement);
    paint(this.context, this.strokes, style.getPropertyValue('--sheet'), style.getPropertyValue('--ink'));
  }

  #redraw() {
    // This ends a stroke in progress.
    this.pointer = null;
    this.draw();
    this.changed();
  }

  #place(event) {
    const box = this.canvas.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  }

  #down(event) {
    if (this.pointer !== null || event.button !== 0) return;
    this.element.setPointerCapture(event.pointerId);
    this.pointer = event.pointerId;
    this.begin(...this.#place(event));
  }

  #move(event) {
    if (event.pointerId !== this.pointer) return;
    const all = event.getCoalescedEvents?.() ?? [];
    for (const one of all.length ? all : [event]) this.extend(...this.#place(one));
  }
}

/** Draws all strokes on empty paper. The context keeps the colour and the width of the ink. */
function paint(context, strokes, paper, ink) {
  const { width, height } = context.canvas;
  context.fillStyle = paper;
  context.fillRect(0, 0, width, height);
  context.strokeStyle = ink;
  context.lineWidth = PEN * width;
  context.lineCap = context.lineJoin = 'round';
  for (const stroke of strokes) stroke.forEach((_, at) => segment(context, stroke, at));
}

/** Draws the segment of a stroke that ends at point `at`; a dot for the first. */
function segment(context, stroke, at) {
  const { width, height } = context.canvas;
  const [fromX, fromY] = stroke[Math.max(at - 1, 0)];
  const [toX, toY] = stroke[at];
  context.beginPath();
  context.moveTo(fromX * width, fromY * height);
  context.lineTo(toX * width, toY * height);
  context.stroke();
}
