// Protobuf by tables. A table maps the number of each field to its name, its type, LIST for a
// repeated field, and true for a field that is null if it was not sent: { 1: ['label', 'string'],
// 2: ['boxes', BOX, LIST], 3: ['seed', 'uint', false, true] }. Types are 'uint' (varints up to
// 2^53, including enums and bool), 'float', 'double', 'string', 'bytes', or the table of a message.
// Negative integers are not supported.

export const LIST = true;

const VARINT = 0, FIXED64 = 1, LENGTH = 2, FIXED32 = 5;
const text = new TextDecoder();
const utf8 = new TextEncoder();

const wireType = (type) => ({ uint: VARINT, double: FIXED64, float: FIXED32 })[type] ?? LENGTH;

function empty(table) {
  const message = {};
  for (const [name, type, list, optional] of Object.values(table)) {
    if (list) message[name] = [];
    else if (optional) message[name] = null;
    else if (type === 'string') message[name] = '';
    else if (type === 'bytes') message[name] = new Uint8Array();
    else message[name] = typeof type === 'string' ? 0 : null;
  }
  return message;
}

class Reader {
  constructor(bytes) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.at = 0;
  }

  get done() { return this.at >= this.bytes.length; }

  varint() {
    for (let value = 0, factor = 1; ; factor *= 128) {
      if (this.done) throw new RangeError('a protobuf message is truncated');
      const byte = this.bytes[this.at++];
      value += (byte & 127) * factor;
      if (byte < 128) return value;
    }
  }

  take(length) {
    const end = this.at + length;
    if (end > this.bytes.length) throw new RangeError('a protobuf message is truncated');
    const part = this.bytes.subarray(this.at, end);
    this.at = end;
    return part;
  }

  skip(wire) {
    if (wire === VARINT) this.varint();
    else if (wire === LENGTH) this.take(this.varint());
    else if (wire === FIXED32) this.take(4);
    else if (wire === FIXED64) this.take(8);
    else throw new RangeError(`a protobuf field has the wire type ${wire}`);
  }

  value(type) {
    if (type === 'uint') return this.varint();
    if (type === 'float') { this.take(4); return this.view.getFloat32(this.at - 4, true); }
    if (type === 'double') { this.take(8); return this.view.getFloat64(this.at - 8, true); }
    const bytes = this.take(this.varint());
    if (type === 'string') return text.decode(bytes);
    return type === 'bytes' ? bytes : decode(type, bytes);
  }
}

/** Decodes a message. A field that was not sent has its default value, a message field null. */
export function decode(table, bytes) {
  const message = empty(table);
  const reader = new Reader(bytes);
  while (!reader.done) {
    const key = reader.varint();
    const wire = key % 8;
    const field = table[Math.floor(key / 8)];
    if (!field) { reader.skip(wire); continue; }
    const [name, type, list] = field;
    if (list && wire === LENGTH && wireType(type) !== LENGTH) {
      const packed = new Reader(reader.take(reader.varint()));
      while (!packed.done) message[name].push(packed.value(type));
    } else if (wire !== wireType(type)) {
      reader.skip(wire);
    } else if (list) {
      message[name].push(reader.value(type));
    } else {
      message[name] = reader.value(type);
    }
  }
  return message;
}

function varint(value) {
  const bytes = [];
  for (value = Number(value); value > 127; value = Math.floor(value / 128)) bytes.push((value % 128) + 128);
  return Uint8Array.from([...bytes, value]);
}

function fixed(value, type) {
  const view = new DataView(new ArrayBuffer(type === 'float' ? 4 : 8));
  if (type === 'float') view.setFloat32(0, value, true);
  else view.setFloat64(0, value, true);
  return new Uint8Array(view.buffer);
}

export function concat(parts) {
  const all = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) { all.set(part, at); at += part.length; }
  return all;
}

/** Encodes a message. Absent fields are not sent. */
export function encode(table, message) {
  const parts = [];
  for (const [number, [name, type, list]] of Object.entries(table)) {
    const value = message[name];
    if (value === undefined || value === null) continue;
    for (const one of list ? value : [value]) {
      parts.push(varint(Number(number) * 8 + wireType(type)));
      if (type === 'uint') { parts.push(varint(one)); continue; }
      if (type === 'float' || type === 'double') { parts.push(fixed(one, type)); continue; }
      const body = type === 'string' ? utf8.encode(one) : type === 'bytes' ? one : encode(type, one);
      parts.push(varint(body.length), body);
    }
  }
  return concat(parts);
}
