// Shows the OpenAPI document of this port, and sends requests with JSON.

import { authorization, hideForm, showForm } from './token.js';

const JSON_TYPE = 'application/json';

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

/** The component that a reference names, or the schema itself. */
function resolve(api, schema) {
  const name = schema.$ref?.split('/').pop();
  return name ? { name, ...api.components.schemas[name] } : schema;
}

/** A type in words. */
function typeOf(api, schema) {
  const { name, type, items, additionalProperties, contentEncoding, format } = resolve(api, schema);
  if (items) return `list of ${typeOf(api, items)}`;
  if (additionalProperties) return `map of ${typeOf(api, additionalProperties)}`;
  return name?.split('.').pop() ?? contentEncoding ?? format ?? type ?? 'any';
}

/** The schema whose fields a value of this schema has, if it has fields. */
function fieldsOf(api, schema) {
  const inner = resolve(api, schema.items ?? schema.additionalProperties ?? schema);
  return inner.properties || inner.enum ? inner : null;
}

/** The fields of a message; those of messages within are filled in when they are opened. */
function fields(api, message) {
  if (message.enum) return element('p', { textContent: message.description || message.enum.join(', ') });
  const list = element('dl');
  for (const [name, schema] of Object.entries(message.properties)) {
    list.append(element('dt', {}, element('code', { textContent: name }), ` ${typeOf(api, schema)}`));
    const about = element('dd', {}, element('p', { textContent: schema.description ?? '' }));
    const inner = fieldsOf(api, schema);
    if (inner) about.append(unfolding(typeOf(api, schema), () => fields(api, inner)));
    list.append(about);
  }
  if (!list.firstChild) list.append(element('dd', { textContent: 'No fields.' }));
  return list;
}

/** Details that are made when they are opened first. */
function unfolding(summary, make) {
  const details = element('details', {}, element('summary', { textContent: summary }));
  details.addEventListener('toggle', () => details.append(make()), { once: true });
  return details;
}

async function send(path, body, output) {
  const sent = authorization();
  const headers = { 'content-type': JSON_TYPE, 'connect-protocol-version': '1' };
  if (sent) headers.authorization = sent;
  output.hidden = false;
  output.textContent = '…';
  try {
    const response = await fetch(path, { method: 'POST', headers, body });
    if (response.status === 401) showForm(sent);
    else hideForm();
    const text = await response.text();
    let shown = text;
    try { shown = JSON.stringify(JSON.parse(text), null, 2); } catch { /* no JSON */ }
    output.textContent = `HTTP ${response.status}\n${shown}`;
  } catch (error) {
    output.textContent = String(error);
  }
}

function trial(path) {
  const body = element('textarea', { value: '{}', spellcheck: false, ariaLabel: 'Request as JSON' });
  const output = element('pre', { hidden: true });
  output.setAttribute('role', 'status');
  const form = element('form', {}, body, element('button', { textContent: 'Send' }), output);
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    send(path, body.value, output);
  });
  return form;
}

function contents(api, path, operation) {
  const whole = element('div', {}, element('p', { textContent: operation.description ?? '' }));
  const parts = [['Request', operation.requestBody.content], ['Response', operation.responses[200].content]];
  const query = (operation.parameters ?? []).filter((parameter) => parameter.in === 'query');
  if (query.length) {
    const properties = Object.fromEntries(query.map(({ name, schema, description }) => [name, { ...schema, description }]));
    whole.append(element('h3', { textContent: 'Query' }), fields(api, { properties }));
  }
  for (const [title, content] of parts) {
    const [type, { schema }] = Object.entries(content).find(([name]) => name === JSON_TYPE) ?? Object.entries(content)[0];
    const message = resolve(api, schema);
    whole.append(element('h3', { textContent: `${title}: ${message.name ?? type}` }));
    whole.append(message.properties ? fields(api, message) : element('p', { textContent: message.description ?? '' }));
  }
  if (operation.requestBody.content[JSON_TYPE]) whole.append(element('h3', { textContent: 'Try it' }), trial(path));
  return whole;
}

function show(api) {
  document.title = `${api.info.title} API`;
  document.getElementById('title').textContent = `${api.info.title} ${api.info.version}`;
  document.getElementById('about').textContent = api.info.description;
  const services = document.getElementById('services');
  for (const tag of api.tags) {
    const section = element('section', {}, element('h2', { textContent: tag.name }), element('p', { textContent: tag.description }));
    for (const [path, { post }] of Object.entries(api.paths)) {
      if (!post.tags.includes(tag.name)) continue;
      const details = unfolding('', () => contents(api, path, post));
      details.className = 'method';
      const short = path.replace(`/${tag.name}/`, '');
      details.firstChild.append(element('code', { textContent: short }), element('p', { textContent: post.summary }));
      section.append(details);
    }
    services.append(section);
  }
}

const response = await fetch('/openapi.json');
if (response.ok) show(await response.json());
else document.getElementById('about').textContent = `The document could not be read: HTTP ${response.status}`;
