// The drawing: strokes by mouse, pen and finger, kept as points so that they can be undone and
// redrawn in other colours. The canvas is sent as it is visible.

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
    element.addEventListener('pointerdown', (event) => this.#down(event));
    element.addEventListener('pointermove', (event) => this.#move(event));
    for (const end of ['pointerup', 'pointercancel', 'lostpointercapture']) {
      element.addEventListener(end, (event) => { if (event.pointerId === this.pointer) this.pointer = null; });
    }
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
      this.draw();
      this.changed();
    });
    this.draw();
  }

  get blank() { return this.strokes.length === 0; }

  /** Begins a stroke at a place from 0 to 1 in both directions. */
  begin(x, y) {
    this.strokes.push([[x, y]]);
    this.#line(this.strokes.at(-1), 0);
    this.changed();
  }

  /** Extends the last stroke. */
  extend(x, y) {
    const stroke = this.strokes.at(-1);
    stroke.push([x, y]);
    this.#line(stroke, stroke.length - 1);
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
    const blob = await new Promise((done) => this.canvas.toBlob(done, 'image/png'));
    return new Uint8Array(await blob.arrayBuffer());
  }

  draw() {
    const style = getComputedStyle(document.documentElement);
    this.context.fillStyle = style.getPropertyValue('--sheet');
    this.context.fillRect(0, 0, this.canvas.width, this.canvas.height);
    this.context.strokeStyle = style.getPropertyValue('--ink');
    this.context.lineWidth = PEN * this.canvas.width;
    this.context.lineCap = this.context.lineJoin = 'round';
    for (const stroke of this.strokes) stroke.forEach((_, at) => this.#line(stroke, at));
  }

  #redraw() {
    // This ends a stroke in progress.
    this.pointer = null;
    this.draw();
    this.changed();
  }

  /** Draws the segment of a stroke that ends at point `at`; a dot for the first. */
  #line(stroke, at) {
    const { width, height } = this.canvas;
    const [fromX, fromY] = stroke[Math.max(at - 1, 0)];
    const [toX, toY] = stroke[at];
    this.context.beginPath();
    this.context.moveTo(fromX * width, fromY * height);
    this.context.lineTo(toX * width, toY * height);
    this.context.stroke();
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
