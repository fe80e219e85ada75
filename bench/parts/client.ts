import { gzipSync } from 'node:zlib';
import { launchChromium, unpackChromium } from '../../e2e/support/chromium.ts';
import { measureBundle } from '../bundle.ts';
import { population } from '../population.ts';
import { kilobytes, type Part, type Row } from '../results.ts';
import { startProduct } from '../servers/stacks.ts';

/** What a browser loads, and what the client consists of. */
export const client: Part = async () => {
  const { scripts, styles, shares } = await measureBundle();
  const owners = Object.entries(shares).map(([owner, bytes]): Row => ({
    what: `all scripts, gzipped: ${owner}`,
    reached: kilobytes(bytes),
  }));
  return [
    await firstVisit(),
    { what: 'all scripts, gzipped', reached: kilobytes(scripts), figures: `styles: ${kilobytes(styles)}` },
    ...owners,
  ];
};

/** Opens the built /login in an empty browser, and gzips each file as a proxy would. */
async function firstVisit(): Promise<Row> {
  await using people = await population(1);
  await using product = await startProduct(people);
  await unpackChromium();
  await using browser = await launchChromium();
  const page = await browser.newPage();
  const bodies: Promise<Buffer>[] = [];
  page.on('response', (response) => bodies.push(response.body()));
  await page.goto(`http://localhost:${product.port}/login`, { waitUntil: 'networkidle' });
  await page.getByRole('button', { name: 'Log in' }).waitFor();
  const sizes = (await Promise.all(bodies)).map((body) => gzipSync(body).length);
  return {
    what: 'first visit to `/login`, gzipped',
    reached: kilobytes(sizes.reduce((sum, size) => sum + size, 0)),
    aim: '≤ 130 KB',
    figures: `${sizes.length} files`,
  };
}
