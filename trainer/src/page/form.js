// The form of a new job, generated from the trainer's description of the fields. An empty field
// takes the preset's value and is not sent.

import { Input, explained } from './field.js';
import { at, made, mark, setText } from './show.js';
import { FieldError, checked, flat, toJson } from './spec.js';

/** Fields that are seen before the form is unfolded. */
const BASIC = ['preset', 'data.dataset', 'epochs', 'seed', 'name'];

const text = (name) => name.replaceAll('_', ' ');
const found = (place, name) => place.querySelector(`[data-part="${name}"]`);

export class Form {
  /** `place` is the form's element, `offered` the listed values by path. */
  constructor(place, fields, presets, offered) {
    this.place = place;
    this.fields = fields;
    this.presets = presets;
    /** Path → Input. */
    this.inputs = new Map();
    /** The choices of the oneofs: {path, node, select, parts: member → elements}. */
    this.ones = [];
    this.groups = [];
    this.offered = offered;
    this.build();
    this.json = found(place, 'json');
    this.json.addEventListener('change', () => this.applyJson());
    place.addEventListener('input', (event) => { if (event.target !== this.json) this.changed(); });
    found(place, 'reset').addEventListener('click', () => this.reset());
    this.fill({ preset: presets[0]?.name });
  }

  build() {
    const general = this.group('general', '', this.fields.filter((field) => !['group', 'one'].includes(field.kind)), '');
    const others = this.fields.filter((field) => ['group', 'one'].includes(field.kind)).map((field) => (
      field.kind === 'one' ? this.group(field.name, '', [field], '') : this.group(field.name, field.help, field.fields, `${field.name}.`)));
    found(this.place, 'groups').replaceChildren(general, ...others);
    found(this.place, 'basic').replaceChildren(...BASIC.map((path) => this.inputs.get(path).element));
    // A preset is always chosen.
    this.inputs.get('preset').input.options[0].remove();
  }

  /** A part of the form that unfolds. */
  group(name, help, fields, path) {
    const count = made('span', 'mark');
    const element = made('details', 'group', made('summary', '', text(name), count), help ? made('p', 'quiet', help.split('\n')[0]) : null);
    const inside = [];
    this.groups.push({ count, inside });
    element.append(...this.elements(fields, path, path, inside));
    return element;
  }

  /** The elements of fields; `top` is the path of their group, which labels leave out. */
  elements(fields, path, top, inside) {
    return fields.flatMap((field) => {
      const at = path + field.name;
      if (field.kind === 'one') return this.one(field, path, at, top, inside);
      if (field.kind === 'group') return this.elements(field.fields, `${at}.`, top, inside);
      const input = new Input(field, at, { label: text(at.slice(top.length).replaceAll('.', ' ')), offered: this.offered[at] });
      this.inputs.set(at, input);
      inside.push(at);
      return [input.element];
    });
  }

  one(node, path, at, top, inside) {
    const select = made('select');
    select.id = `field-${at.replaceAll('.', '-')}`;
    select.append(new Option('', ''), ...node.fields.map((member) => new Option(text(member.name), member.name)));
    const label = made('label', '', text(node.name));
    label.htmlFor = select.id;
    const help = made('p', 'help', ...explained(node).map((line) => made('span', '', line)));
    help.id = `${select.id}-help`;
    select.setAttribute('aria-describedby', help.id);
    const parts = new Map(node.fields.map((member) => {
      const about = made('p', 'quiet about', member.help.split('\n')[0]);
      return [member.name, [about, ...this.elements(member.fields, `${path}${member.name}.`, `${path}${member.name}.`, inside)]];
    }));
    const element = made('div', 'field', label, select, help);
    element.dataset.path = at;
    this.ones.push({ path: at, node, select, parts, inherited: '' });
    inside.push(at);
    return [element, ...[...parts.values()].flat()];
  }

  oneOf(node) { return this.ones.find((one) => one.node === node); }

  /** The member of a oneof whose fields are shown. */
  static member(one) { return one.select.value || one.inherited; }

  /** Takes the values that unset fields have from the chosen preset. */
  inherit() {
    const preset = this.presets.find(({ name }) => name === this.inputs.get('preset').text);
    setText(found(this.place, 'about'), preset?.description ?? '');
    const give = (fields, json, path) => fields.forEach((field) => {
      if (field.kind === 'one') {
        const one = this.oneOf(field);
        one.inherited = field.fields.find(({ name }) => json?.[name] !== undefined)?.name ?? '';
        one.select.options[0].text = one.inherited ? `${text(one.inherited)} (preset)` : 'not set';
        give(field.fields, json, path);
      } else if (field.kind === 'group') give(field.fields, json?.[field.name], `${path}${field.name}.`);
      else if (path + field.name !== 'preset') this.inputs.get(path + field.name).inherit(json?.[field.name]);
    });
    give(this.fields, preset ? toJson(this.fields, { ...preset.spec, name: '' }) : {}, '');
  }

  /** Holds a spec, as JSON, in place of what it held. */
  fill(json) {
    const give = (fields, json, path) => fields.forEach((field) => {
      if (field.kind === 'one') {
        this.oneOf(field).select.value = field.fields.find(({ name }) => json?.[name] !== undefined)?.name ?? '';
        give(field.fields, json, path);
      } else if (field.kind === 'group') give(field.fields, json?.[field.name], `${path}${field.name}.`);
      else this.inputs.get(path + field.name).fill(json?.[field.name]);
    });
    give(this.fields, { ...json, preset: json.preset || this.presets[0]?.name }, '');
    this.changed();
  }

  /** The spec as JSON, and a FieldError for each value that its field cannot have. */
  read() {
    const errors = [];
    const take = (fields, path) => {
      const json = {};
      for (const field of fields) {
        const at = path + field.name;
        if (field.kind === 'one') {
          const one = this.oneOf(field);
          const member = field.fields.find(({ name }) => name === Form.member(one));
          const inner = member ? take(member.fields, `${path}${member.name}.`) : {};
          if (one.select.value || Object.keys(inner).length > 0) json[member.name] = inner;
        } else if (field.kind === 'group') {
          const inner = take(field.fields, `${at}.`);
          if (Object.keys(inner).length > 0) json[field.name] = inner;
        } else {
          try {
            const value = this.inputs.get(at).read();
            if (value !== undefined) json[field.name] = value;
          } catch (error) {
            errors.push(error);
          }
        }
      }
      return json;
    };
    return { json: take(this.fields, ''), errors };
  }

  /** Shows what follows from the values: inherited ones, counts of changes, the JSON. */
  changed() {
    this.inherit();
    for (const one of this.ones) {
      for (const [member, elements] of one.parts) for (const element of elements) element.hidden = member !== Form.member(one);
    }
    const { json, errors } = this.read();
    const set = new Set([...this.inputs.values()].filter((input) => input.isSet && !input.element.hidden).map(({ path }) => path));
    for (const { path, select } of this.ones) if (select.value) set.add(path);
    set.delete('preset');
    for (const element of this.place.querySelectorAll('.field')) element.classList.toggle('set', set.has(element.dataset.path));
    for (const { count, inside } of this.groups) setText(count, counted(inside.filter((path) => set.has(path) && !BASIC.includes(path)).length));
    const changes = [...flat(this.fields, { ...json, preset: undefined })].map(([path, value]) => (value === 'yes' ? path : `${path} ${value}`));
    setText(found(this.place, 'changes'), changes.length === 0 ? 'As the preset has it.' : `Changed: ${changes.join(' · ')}`);
    found(this.place, 'reset').hidden = changes.length === 0 && errors.length === 0;
    if (document.activeElement !== this.json) this.json.value = JSON.stringify(json, null, 2);
  }

  /** Fills the form with the JSON that was typed. */
  applyJson() {
    try {
      this.fill(checked(this.fields, JSON.parse(this.json.value)));
      this.json.value = JSON.stringify(this.read().json, null, 2);
      this.wrongJson(null);
    } catch (error) {
      this.wrongJson(error instanceof FieldError ? error : new FieldError('The JSON', error.message));
    }
  }

  wrongJson(error) {
    this.jsonError = error;
    const wrong = found(this.place, 'json-error');
    wrong.hidden = !error;
    setText(wrong, error?.message ?? '');
    mark(this.json, 'aria-invalid', error);
  }

  reset() {
    this.fill({ preset: this.inputs.get('preset').text });
    this.wrongJson(null);
    this.refuse([]);
    this.inputs.get('preset').input.focus();
  }

  /** Shows errors, which are {path, reason}, together and at their fields, and moves the focus to the first. */
  refuse(errors) {
    this.say(errors.map(({ path, reason }) => `${path} ${reason}`).join('\n'));
    for (const input of this.inputs.values()) input.refuse('');
    for (const { path, reason } of errors) this.inputAt(path.replace(/\[\d+\]$/, ''))?.refuse(`${path} ${reason}`);
    const wrong = errors.length > 0 ? [...this.place.querySelectorAll('[aria-invalid]')] : [];
    for (const input of wrong) this.unfold(input);
    wrong[0]?.focus();
  }

  /** The input of a field, or the first one of a message. */
  inputAt(path) {
    return this.inputs.get(path) ?? [...this.inputs.values()].find((input) => input.path.startsWith(`${path}.`) && !input.element.hidden);
  }

  /** Shows why nothing was submitted; '' for no reason. */
  say(text) {
    at('refused').hidden = !text;
    setText(at('refused'), text);
  }

  unfold(element) {
    for (let part = element.closest('details'); part; part = part.parentElement.closest('details')) part.open = true;
  }

  /** Unfolds the groups that have set fields. */
  unfoldSet() {
    for (const element of this.place.querySelectorAll('.field.set')) this.unfold(element);
  }
}

const counted = (count) => (count === 0 ? '' : `${count} changed`);
