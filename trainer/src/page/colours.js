// The colours of runs: each job has one that it prefers, so that it looks the same on another day,
// and no two drawn jobs share one.

/** Colours in the style sheet, run-0 and on. */
export const SLOTS = 8;

/** FNV-1a of the job's id. */
function preferred(id) {
  let hash = 2166136261;
  for (const char of id) hash = Math.imul(hash ^ char.charCodeAt(0), 16777619) >>> 0;
  return hash % SLOTS;
}

export class Colours {
  constructor() {
    this.slots = new Map();
  }

  /** Gives each drawn job its slot. A job keeps it as long as it is drawn. */
  assign(drawn) {
    const kept = new Map(drawn.filter((id) => this.slots.has(id)).map((id) => [id, this.slots.get(id)]));
    const taken = new Set(kept.values());
    for (const id of drawn) {
      if (kept.has(id)) continue;
      let slot = preferred(id);
      while (taken.has(slot)) slot = (slot + 1) % SLOTS;
      taken.add(slot);
      kept.set(id, slot);
    }
    this.slots = kept;
  }

  slot(id) { return this.slots.get(id); }
}
