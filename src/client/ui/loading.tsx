/** Appears after a short delay (CSS only), so that fast responses do not make it flash. */
export function Loading() {
  return <output className="mt-6 block animate-late text-muted">Loading…</output>;
}
