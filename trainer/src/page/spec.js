// A job spec in its two forms: the message that is sent, and JSON as files of specs hold it. Both
// follow the trainer's description of the fields (/page/form.json).

/** A value that a field cannot have. `path` is the field as the trainer's errors name it. */
export class FieldError extends Error {
  constructor(path, reason) {
    super(`${path}: ${reason}`);
    this.path = path;
    this.reason = reason;
  }
}

/** The fields of a message, with the members of its oneofs. */
export const membersOf = (fields) => fields.flatMap((field) => (field.kind === 'one' ? field.fields : [field]));

/** Seconds in the JSON form of a duration. */
const seconds = ({ seconds, nanos }) => `${Number((seconds + nanos / 1e9).toFixed(9))}s`;

/** Seven digits are what float32 holds. */
const number = (value) => Number(value.toPrecision(7));

/** A decoded message as JSON. Fields that are not set are left out. */
export function toJson(fields, message) {
  const json = {};
  for (const field of membersOf(fields)) {
    const value = message?.[field.name];
    if (value === null || value === undefined || (!field.optional && (value === '' || value === 0))) continue;
    json[field.name] = ({
      group: () => toJson(field.fields, value),
      choice: () => field.values.find((one) => one.number === value)?.name ?? value,
      bool: () => value !== 0,
      number: () => number(value),
      duration: () => seconds(value),
      // Messages have the entries in any order.
      map: () => Object.fromEntries(value.map(({ key, value }) => [key, value]).sort()),
    }[field.kind] ?? (() => value))();
    if (field.kind === 'map' && value.length === 0) delete json[field.name];
  }
  return json;
}

/** A message of checked JSON. */
export function toMessage(fields, json) {
  const message = {};
  for (const field of membersOf(fields)) {
    const value = json[field.name];
    if (value === undefined) continue;
    message[field.name] = ({
      group: () => toMessage(field.fields, value),
      choice: () => field.values.find((one) => one.name === value).number,
      bool: () => Number(value),
      duration: () => {
        const [whole, rest = ''] = value.slice(0, -1).split('.');
        return { seconds: Number(whole), nanos: Number(rest.padEnd(9, '0')) };
      },
      map: () => Object.entries(value).map(([key, value]) => ({ key, value })),
    }[field.kind] ?? (() => value))();
  }
  return message;
}

const isObject = (value) => typeof value === 'object' && value !== null && !Array.isArray(value);
const quoted = (value) => JSON.stringify(value);

function whole(field, value, path) {
  const count = typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : value;
  if (!Number.isInteger(count) || count < 0) throw new FieldError(path, `must be a whole number, not ${quoted(value)}`);
  if (count > field.max) throw new FieldError(path, `must be at most ${field.max.toLocaleString('en')}, not ${count.toLocaleString('en')}`);
  return count;
}

const CHECKS = {
  whole,
  text(_, value, path) {
    if (typeof value !== 'string') throw new FieldError(path, `must be a text, not ${quoted(value)}`);
    return value;
  },
  number(_, value, path) {
    if (typeof value !== 'number' || !Number.isFinite(value)) throw new FieldError(path, `must be a number, not ${quoted(value)}`);
    return value;
  },
  bool(_, value, path) {
    if (typeof value !== 'boolean') throw new FieldError(path, `must be true or false, not ${quoted(value)}`);
    return value;
  },
  choice(field, value, path) {
    const names = field.values.map((one) => one.name);
    if (!names.includes(value)) throw new FieldError(path, `must be one of ${names.join(', ')}, not ${quoted(value)}`);
    return value;
  },
  duration(_, value, path) {
    if (typeof value !== 'string' || !/^\d+(\.\d{1,9})?s$/.test(value)) throw new FieldError(path, `must be seconds such as "90s", not ${quoted(value)}`);
    return value;
  },
  list(field, value, path) {
    if (!Array.isArray(value)) throw new FieldError(path, `must be a list of whole numbers, not ${quoted(value)}`);
    return value.map((one) => whole(field, one, path));
  },
  map(_, value, path) {
    if (!isObject(value) || Object.values(value).some((one) => typeof one !== 'string')) throw new FieldError(path, `must be an object of texts, not ${quoted(value)}`);
    return value;
  },
  group: (field, value, path) => checked(field.fields, value, path),
};

/** JSON with every value as its field has it; throws a FieldError for the first one that does not fit. */
export function checked(fields, json, path = '') {
  if (!isObject(json)) throw new FieldError(path || 'The spec', `must be an object, not ${quoted(json)}`);
  const known = membersOf(fields);
  const found = {};
  for (const [name, value] of Object.entries(json)) {
    const at = path ? `${path}.${name}` : name;
    const field = known.find((field) => field.name === name);
    if (!field) throw new FieldError(at, 'is not a field of the spec');
    if (value !== null) found[name] = CHECKS[field.kind](field, value, at);
  }
  for (const { name, kind, fields: members } of fields) {
    const set = kind === 'one' ? members.filter((member) => found[member.name] !== undefined) : [];
    // Of a message with nothing but a list, {} is the empty list.
    if (kind === 'list' && path && fields.length === 1) found[name] ??= [];
    if (set.length > 1) throw new FieldError(path ? `${path}.${name}` : name, `has both ${set.map((member) => member.name).join(' and ')}`);
  }
  return found;
}

/** A value as text for people. */
export function shown(field, value) {
  if (field.kind === 'bool') return value ? 'yes' : 'no';
  if (field.kind === 'choice') return words(field, value);
  if (field.kind === 'list') return value.length === 0 ? 'none' : value.join(', ');
  if (field.kind === 'map') return Object.entries(value).map(([key, value]) => `${key}=${value}`).join(', ');
  if (field.kind === 'whole') return value.toLocaleString('en');
  if (field.kind === 'duration') return value.replace(/s$/, ' s');
  return String(value);
}

/** The name of an enum's value without what all of its values begin with: `every epoch`. */
export function words(field, name) {
  const names = field.values.map((one) => one.name);
  const end = names.reduce((length, other) => {
    let same = 0;
    while (same < length && other[same] === names[0][same]) same += 1;
    return same;
  }, names[0].length);
  const prefix = names[0].slice(0, names[0].lastIndexOf('_', end - 1) + 1);
  return String(name).replace(prefix, '').toLowerCase().replaceAll('_', ' ');
}

/** The set fields of JSON as Map path → text, with the paths that the trainer's errors use. */
export function flat(fields, json, path = '') {
  const found = new Map();
  for (const field of membersOf(fields)) {
    const value = json?.[field.name];
    if (value === undefined) continue;
    const at = path + field.name;
    if (field.kind !== 'group') { found.set(at, shown(field, value)); continue; }
    const inner = flat(field.fields, value, `${at}.`);
    // A message without fields is set or not.
    if (inner.size === 0) found.set(at, 'yes');
    for (const [name, text] of inner) found.set(name, text);
  }
  return found;
}
