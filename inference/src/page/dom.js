// Elements of the page: by their id, and new ones.

export const at = (id) => document.getElementById(id);

/** A new element with a class, attributes as properties, and children. */
export function make(tag, className, properties = {}, ...children) {
  const element = document.createElement(tag);
  element.className = className;
  Object.assign(element, properties);
  element.append(...children);
  return element;
}

export const pause = (time) => new Promise((done) => setTimeout(done, time));
