// Drawing with the keyboard: arrows move the cursor, the space bar puts the pen down and up.

/** Movement per key press, as a share of the paper; finer with Shift. */
const STEP = 1 / 28;
const FINER = 4;
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** `say` receives text for screen readers; `clear` clears the paper. */
export function drawByKeys(paper, cursor, { say, clear }) {
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
    c: () => { lift(); clear(); },
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
      // Ignore the repetitions of a key that is held down.
      if (!event.repeat) key();
      return;
    }
    const step = event.shiftKey ? STEP / FINER : STEP;
    x = Math.min(1, Math.max(0, x + arrow[0] * step));
    y = Math.min(1, Math.max(0, y + arrow[1] * step));
    if (down) paper.extend(x, y);
    show();
  });
  // Show the cursor if the focus came by keyboard, not by touch.
  element.addEventListener('focus', () => element.classList.toggle('keyed', element.matches(':focus-visible')));
  element.addEventListener('pointerdown', () => { element.classList.remove('keyed'); lift(); });
  element.addEventListener('blur', () => lift());
  show();
}
