/** Appears after a short delay (in CSS), so that it does not flash. */
export function Loading() {
  return <output className="mt-6 block animate-late text-muted">Loading…</output>;
}
