// Drawing with the keyboard: a cursor that the arrows move, and a pen that the space bar puts down and up.

const STEP = 1 / 28;
const FINE = 4;
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** `say` is told what a screen reader should speak. */
export function drawByKeys(paper, cursor, say) {
  let [x, y, down] = [0.5, 0.25, false];
  const { element } = paper;

  const show = () => {
    cursor.style.left = `${x * 100}%`;
    cursor.style.top = `${y * 100}%`;
    cursor.classList.toggle('down', down);
  };
  const lift = (words) => {
    if (down && words) say(words);
    down = false;
    show();
  };

  const keys = {
    ' ': () => {
      if (down) return lift('Pen up');
      down = true;
      paper.begin(x, y);
      say('Pen down');
      show();
    },
    Escape: () => lift('Pen up'),
    z: () => { lift(); paper.undo(); },
    c: () => { lift(); paper.clear(); },
  };
  keys.Delete = keys.Backspace = keys.c;

  element.addEventListener('keydown', (event) => {
    const undo = event.key.toLowerCase() === 'z';
    if (event.altKey || ((event.ctrlKey || event.metaKey) && !undo)) return;
    const arrow = ARROWS[event.key];
    const key = keys[event.key] ?? keys[event.key.toLowerCase()];
    if (!arrow && !key) return;
    event.preventDefault();
    element.classList.add('keyed');
    if (key) {
      // A key that is held down is meant once.
      if (!event.repeat) key();
      return;
    }
    const step = event.shiftKey ? STEP / FINE : STEP;
    x = Math.min(1, Math.max(0, x + arrow[0] * step));
    y = Math.min(1, Math.max(0, y + arrow[1] * step));
    if (down) paper.extend(x, y);
    show();
  });
  // Whoever comes by Tab sees the cursor; whoever comes by a finger does not.
  element.addEventListener('focus', () => element.classList.toggle('keyed', element.matches(':focus-visible')));
  element.addEventListener('pointerdown', () => { element.classList.remove('keyed'); lift(); });
  element.addEventListener('blur', () => lift());
  show();
}
