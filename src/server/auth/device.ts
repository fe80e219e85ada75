import Bowser from 'bowser';

/** @returns what people call the browser and system: `Firefox on Windows`; the less that is known, the vaguer */
export function describeDevice(userAgent: string | null | undefined): string {
  if (!userAgent) return 'Unknown device';
  const { browser, os } = Bowser.parse(userAgent);
  if (browser.name === undefined || browser.name === '') return os.name ?? 'Unknown device';
  return os.name === undefined ? browser.name : `${browser.name} on ${os.name}`;
}
