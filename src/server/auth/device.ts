import Bowser from 'bowser';

const BROWSERS: ReadonlySet<unknown> = new Set(Object.values(Bowser.BROWSER_MAP));

/** @returns what people call the browser and system: `Firefox on Windows`; the less that is known, the vaguer */
export function describeDevice(userAgent: string | null | undefined): string {
  if (!userAgent) return 'Unknown device';
  const { browser, os } = Bowser.parse(userAgent);
  // One that the parser does not know is called what it calls itself: any words, which we would pass on in mail.
  const name = BROWSERS.has(browser.name) ? browser.name : undefined;
  return [name, os.name].filter((part) => part !== undefined).join(' on ') || 'Unknown device';
}
