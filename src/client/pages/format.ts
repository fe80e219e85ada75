const SECOND_MS = 1000;

const time = new Intl.DateTimeFormat('en', { timeStyle: 'medium', hourCycle: 'h23' });

/** For example `16:04:09`. */
export const timeOfDay = (date: Date): string => time.format(date);

/** Rounded up to whole seconds: `0:09`, `14:32`, `1:02:03`. */
export function countdown(ms: number): string {
  const seconds = Math.ceil(ms / SECOND_MS);
  const [h, m, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  const two = (part: number) => String(part).padStart(2, '0');
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}
