import { unpackChromium } from './chromium.ts';
import { build, PROJECT } from './project.ts';

export default async function setup(): Promise<void> {
  await Promise.all([build(PROJECT), unpackChromium()]);
}
