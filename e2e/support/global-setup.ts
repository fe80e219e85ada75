import { unpackChromium } from './chromium.ts';
import { buildClient, PROJECT } from './project.ts';

/** Once per run, before the stories: the product as `npm run build` makes it, and a browser. */
export default async function setup(): Promise<void> {
  await Promise.all([buildClient(PROJECT), unpackChromium()]);
}
