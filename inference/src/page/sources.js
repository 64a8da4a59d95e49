// Where pictures come from: files that are chosen, the camera, the clipboard, and drops.

import { at } from './dom.js';

/** Calls `take` with the files of each of them. */
export function sources(take) {
  for (const [button, input] of [['choose', 'files'], ['shoot', 'camera']]) {
    at(button).addEventListener('click', () => at(input).click());
    at(input).addEventListener('change', () => {
      const files = [...at(input).files];
      // So that the same file can be chosen again.
      at(input).value = '';
      if (files.length > 0) take(files);
    });
  }
  document.addEventListener('paste', (event) => {
    const files = [...event.clipboardData.files];
    if (files.length === 0) return;
    event.preventDefault();
    take(files);
  });
  drops(take);
}

/** The whole page takes drops. */
function drops(take) {
  const hasFiles = (event) => event.dataTransfer?.types.includes('Files');
  const invite = (shown) => { at('drop').hidden = !shown; };
  document.addEventListener('dragenter', (event) => { if (hasFiles(event)) invite(true); });
  // Between two elements of the page, the one that is entered is named.
  document.addEventListener('dragleave', (event) => { if (!event.relatedTarget) invite(false); });
  document.addEventListener('dragover', (event) => { if (hasFiles(event)) event.preventDefault(); });
  document.addEventListener('drop', (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    invite(false);
    if (event.dataTransfer.files.length > 0) take([...event.dataTransfer.files]);
  });
}
