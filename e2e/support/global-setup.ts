import { unpackChromium } from './chromium.ts';
import { buildClient, PROJECT } from './project.ts';

export default async function setup(): Promise<void> {
  await Promise.all([buildClient(PROJECT), unpackChromium()]);
}
