// What differs between the specs of the drawn jobs, as a table with a column for each.

import { at, made, setText, title } from './show.js';
import { flat, membersOf, toJson } from './spec.js';

/** The paths of all fields, in the order of the form. */
const order = (fields, path = '') => membersOf(fields).flatMap(({ name, kind, fields: inner }) => (
  kind === 'group' ? [path + name, ...order(inner, `${path}${name}.`)] : [path + name]));

/** A path that may wrap behind its dots and underscores. */
const wrapping = (path) => path.split(/(?<=[._])/).flatMap((part) => [part, made('wbr')]);

/** The fields that differ, as [path, texts]; '' where a job does not have the field. */
export function differences(fields, specs) {
  const flats = specs.map((spec) => flat(fields, toJson(fields, spec)));
  const has = (path) => flats.some((one) => one.has(path));
  return order(fields).filter((path) => path !== 'name' && has(path))
    .map((path) => [path, flats.map((one) => one.get(path) ?? '')])
    .filter(([, texts]) => new Set(texts).size > 1);
}

/** Shows the table for jobs with their colours' slots: [{job, slot}…]. */
export function showDifferences(fields, runs) {
  const known = runs.filter(({ job }) => job?.resolved);
  at('diff').hidden = runs.length < 2;
  const key = known.map(({ job, slot }) => `${job.job_id} ${slot}`).join();
  if (at('diff').dataset.shown === key || known.length < 2) return;
  at('diff').dataset.shown = key;
  const rows = differences(fields, known.map(({ job }) => job.resolved));
  setText(at('same'), rows.length === 0 ? 'Their specs are equal.' : '');
  const column = ({ job, slot }) => {
    const head = made('th', `run-${slot}`, made('span', 'key'), title(job));
    head.scope = 'col';
    return head;
  };
  const row = ([path, texts]) => {
    const head = made('th', 'path', ...wrapping(path));
    head.scope = 'row';
    return made('tr', '', head, ...texts.map((text) => made('td', text ? '' : 'quiet', text || 'not set')));
  };
  at('diff-table').hidden = rows.length === 0;
  at('diff-table').replaceChildren(
    made('thead', '', made('tr', '', made('td'), ...known.map(column))), made('tbody', '', ...rows.map(row)));
}
