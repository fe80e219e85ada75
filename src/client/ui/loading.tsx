/** Comes late, by CSS alone: what is quick needs no word, and a flash of one is worse than none. */
export function Loading() {
  return <output className="mt-6 block animate-late text-muted">Loading…</output>;
}
