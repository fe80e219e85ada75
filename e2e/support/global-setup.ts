import { unpackChromium } from './chromium.ts';
import { buildClient, PROJECT } from './project.ts';

/** Builds the client as `npm run build` does, and unpacks the browser, once per run. */
export default async function setup(): Promise<void> {
  await Promise.all([buildClient(PROJECT), unpackChromium()]);
}
