// One input of the form: what it shows, and the value that it holds, by the kind of its field.

import { made, mark } from './show.js';
import { FieldError, shown, words } from './spec.js';

/** The kinds with a fixed choice of values, as [value, text]. */
const CHOICES = {
  bool: () => [['true', 'yes'], ['false', 'no']],
  choice: (field) => field.values.map(({ name }) => [name, words(field, name)]),
};

/** How each kind reads the text of its input. */
const READ = {
  text: (text) => text,
  bool: (text) => text === 'true',
  choice: (text) => text,
  whole(text, { max }) {
    const grouped = /^\d{1,3}(,\d{3})+$/.test(text) ? text.replaceAll(',', '') : text;
    if (!/^\d+$/.test(grouped)) throw new TypeError(`must be a whole number, not ${text}`);
    const value = Number(grouped);
    if (value > max) throw new TypeError(`must be at most ${max.toLocaleString('en')}, not ${text}`);
    return value;
  },
  number(text) {
    const value = Number(text);
    if (!Number.isFinite(value)) throw new TypeError(`must be a number such as 0.1 or 1e-4, not ${text}`);
    return value;
  },
  list(text, field) {
    if (text === 'none') return [];
    return text.split(/[\s,]+/).filter(Boolean).map((one) => READ.whole(one, field));
  },
  duration(text) {
    const match = /^(?:(\d+)\s*h)?\s*(?:(\d+)\s*min)?\s*(?:(\d+(?:\.\d{1,9})?)\s*s?)?$/.exec(text);
    if (!match) throw new TypeError(`must be a time such as 90 s, 15 min or 1 h 30 min, not ${text}`);
    const [hours, minutes, seconds] = match.slice(1).map((part) => part ?? '0');
    const [whole, rest] = seconds.split('.');
    return `${Number(hours) * 3600 + Number(minutes) * 60 + Number(whole)}${rest ? `.${rest}` : ''}s`;
  },
  map(text) {
    return Object.fromEntries(text.split('\n').map((one) => one.trim()).filter(Boolean).map((one) => {
      const [key, ...value] = one.split('=');
      if (value.length === 0) throw new TypeError(`must be written as key=value, not ${one}`);
      return [key.trim(), value.join('=').trim()];
    }));
  },
};

const HINTS = { list: 'such as 128, 64', map: 'key=value, one a line', duration: 'such as 15 min' };

/** The help of a field and of its values, in lines; a form has no UNSPECIFIED. */
export function explained({ help, kind, values }) {
  const each = kind === 'choice' ? values.map((value) => `${words({ values }, value.name)}: ${value.help}`) : [];
  return [...help.replaceAll('UNSPECIFIED:', 'Not set:').split('\n'), ...each];
}

const lines = (map) => Object.entries(map).map(([key, value]) => `${key}=${value}`).join('\n');

/** The input of a field with its label, help and error. An empty input leaves the field unset. */
export class Input {
  /** `label` is its text; `offered` are the values to choose from where the trainer lists them. */
  constructor(field, path, { label, offered }) {
    this.field = field;
    this.path = path;
    const id = `field-${path.replaceAll('.', '-')}`;
    const choices = offered?.map((value) => [value, value]) ?? CHOICES[field.kind]?.(field);
    this.input = made(choices ? 'select' : field.kind === 'map' ? 'textarea' : 'input');
    this.input.id = id;
    if (choices) this.input.append(new Option('', ''), ...choices.map(([value, text]) => new Option(text, value)));
    else Object.assign(this.input, { autocomplete: 'off', spellcheck: false, rows: 2 });
    if (['whole', 'number'].includes(field.kind)) this.input.inputMode = field.kind === 'whole' ? 'numeric' : 'decimal';
    const name = made('label', '', label);
    name.htmlFor = id;
    this.help = made('p', 'help', ...explained(field).map((line) => made('span', '', line)));
    this.help.id = `${id}-help`;
    this.error = made('p', 'wrong');
    this.error.id = `${id}-error`;
    this.error.hidden = true;
    this.input.setAttribute('aria-describedby', `${id}-error ${id}-help`);
    this.element = made('div', 'field', name, this.input, this.help, this.error);
    this.element.dataset.path = path;
    this.inherit(undefined);
  }

  /** The text; '' where the field is unset. */
  get text() { return this.input.value.trim(); }

  get isSet() { return this.text !== ''; }

  /** Shows the value that the field has if it is left unset. */
  inherit(value) {
    const text = value === undefined ? '' : this.field.kind === 'text' ? value : shown(this.field, value);
    if (this.input.options) this.input.options[0].text = text ? `${text} (preset)` : 'not set';
    else this.input.placeholder = text || HINTS[this.field.kind] || 'not set';
  }

  /** Holds a value of the spec's JSON, or undefined. */
  fill(value) {
    const { kind } = this.field;
    const plain = ['text', 'choice', 'bool', 'number', 'whole'].includes(kind);
    const text = value === undefined ? '' : plain ? String(value) : kind === 'map' ? lines(value) : shown(this.field, value);
    // Such as a data set that is no longer listed.
    if (this.input.options && ![...this.input.options].some((option) => option.value === text)) this.input.append(new Option(text));
    this.input.value = text;
    this.refuse('');
  }

  /** The value as the spec's JSON has it; undefined where the field is unset. */
  read() {
    if (!this.isSet) return undefined;
    try {
      return READ[this.field.kind](this.text, this.field);
    } catch (error) {
      throw new FieldError(this.path, error.message);
    }
  }

  /** Shows why the value is refused, with the field's name; '' for nothing. */
  refuse(reason) {
    this.error.textContent = reason;
    this.error.hidden = !reason;
    mark(this.input, 'aria-invalid', reason);
  }
}
