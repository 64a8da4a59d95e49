// The left side: the paper or a picture, with boxes around the digits that were found.

import { at, make } from './dom.js';
import { Picture } from './pictures.js';
import { isLabelled } from './reading.js';

/** Longest side in pixels of a picture that is enlarged without smoothing. */
const COARSE = 100;
/** The picture in view, and the object URL of it. */
let inView = null, url = null;

/** Shows the drawing or a picture; `choose` is called with the index of a box that is clicked. */
export function showStage(subject, choose) {
  const isPicture = subject instanceof Picture;
  for (const element of document.querySelectorAll('[data-for]')) {
    element.hidden = (element.dataset.for === 'picture') !== isPicture;
  }
  if (!isPicture) {
    release();
    const { width, height } = subject.paper.canvas;
    // A single digit needs no box: it is drawn here.
    return boxes(at('boxes'), subject, { width, height, least: 2 });
  }
  showPicture(subject);
  boxes(at('found'), subject, { ...subject.prepared, least: 1, choose });
}

function release() {
  if (url) URL.revokeObjectURL(url);
  inView = url = null;
}

function showPicture(picture) {
  const { prepared } = picture;
  const size = prepared?.width ? `${prepared.width} × ${prepared.height}` : '';
  at('about').textContent = [picture.name, size, prepared?.note].filter(Boolean).join(' · ');
  at('preview').hidden = !prepared?.width;
  at('undecodable').hidden = prepared ? prepared.width > 0 : picture.state === 'waiting';
  if (!prepared || inView === prepared) return;
  release();
  inView = prepared;
  const { width, height } = prepared;
  if (!width) return;
  url = URL.createObjectURL(prepared.sent);
  at('preview').style.setProperty('--ratio', width / height);
  at('preview').classList.toggle('coarse', Math.max(width, height) <= COARSE);
  Object.assign(at('shown'), { src: url, alt: picture.name });
}

/** Draws the boxes of a reading; they can be clicked if `choose` is given and they have labels. */
function boxes(container, { reading, chosen }, { width, height, least, choose }) {
  const digits = reading?.digits ?? [];
  const found = digits.length < least ? [] : digits.map((digit, index) => {
    if (!digit.box) return null;
    const { left, top, width: wide, height: high } = digit.box;
    const frame = make('div', isLabelled(digit) ? 'box' : 'box unread');
    frame.classList.toggle('chosen', isLabelled(digit) && index === chosen && digits.length > 1);
    Object.assign(frame.style, {
      left: `${(left / width) * 100}%`, top: `${(top / height) * 100}%`,
      width: `${(wide / width) * 100}%`, height: `${(high / height) * 100}%`,
    });
    if (digit.label) frame.append(make('span', '', { textContent: digit.label }));
    if (choose && isLabelled(digit)) frame.addEventListener('click', () => choose(index));
    return frame;
  });
  container.replaceChildren(...found.filter(Boolean));
}
