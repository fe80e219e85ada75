/** Prints which cases each link passes, as a Markdown table, followed by the differences. */
import { registerHooks } from 'node:module';
import { inspect, isDeepStrictEqual } from 'node:util';
import type { Adapter, End } from './adapters.ts';
import type { Case } from './cases.ts';

// All links share the project's copy of tRPC: a client does not recognize errors of another copy.
registerHooks({
  resolve: (specifier, context, next) =>
    next(
      specifier,
      specifier.startsWith('@trpc/') ? { ...context, parentURL: new URL('../', import.meta.url).href } : context,
    ),
});
const { adapters, clientOf, noGuard } = await import('./adapters.ts');
const { calm, cases, endsOf } = await import('./cases.ts');
const { createWorld } = await import('./world.ts');

/** Far longer than any case takes; one not done by then never will be. */
const GIVE_UP_MS = 5_000;

const rejections: unknown[] = [];
process.on('unhandledRejection', (reason) => rejections.push(reason));

const links = await adapters();
const faults: string[] = [];
const lines: string[] = [];
const passed = new Map<Adapter, number>();
for (const one of cases) {
  const cells: string[] = [];
  for (const link of links) cells.push(await judge(one, link));
  lines.push(`| ${one.id} | ${one.title} | ${cells.join(' | ')} |`);
}

const totals = links.map((link) => `${passed.get(link) ?? 0} of ${cases.filter((one) => applies(one, link)).length}`);
print(`| case | expected behavior | ${links.map(({ name }) => name).join(' | ')} |`);
print(`| --- | --- | ${links.map(() => '---').join(' | ')} |`);
for (const line of lines) print(line);
print(`| | passed, of the applicable cases | ${totals.join(' | ')} |`);
print('');
for (const fault of faults) print(`- ${fault}`);
process.exitCode = faults.some((fault) => fault.startsWith('ours')) ? 1 : 0;
// A hung case would keep the process alive.
setTimeout(() => process.exit(), 100);

function applies({ needs }: Case, { promises }: Adapter): boolean {
  return needs === undefined || promises.includes(needs);
}

async function judge(one: Case, link: Adapter): Promise<string> {
  if (!applies(one, link)) return '–';
  for (const end of endsOf(one)) {
    const fault = await play(one, link, end);
    if (fault === undefined) continue;
    faults.push(`${link.name}, ${one.id}, ${end}: ${fault}`);
    return '**no**';
  }
  passed.set(link, (passed.get(link) ?? 0) + 1);
  return 'yes';
}

/** @returns the first difference */
async function play(one: Case, link: Adapter, end: End): Promise<string | undefined> {
  const world = createWorld();
  const app = link.connect(world, !one.guest);
  const found: string[] = [];
  rejections.length = 0;
  const run = one.run({
    world,
    app,
    client: app.client(end),
    bare: clientOf(world, noGuard, () => ({}), end),
    end,
    rejections,
    expect(what, actual, wanted) {
      if (!isDeepStrictEqual(actual, wanted)) found.push(`${what}: ${short(actual)}, not ${short(wanted)}`);
    },
  });
  await Promise.race([
    run.catch((error: unknown) => found.push(String(error))),
    calm(GIVE_UP_MS).then(() =>
      found.push(`timed out after ${world.sent.length} requests and ${world.refreshes()} refreshes`),
    ),
  ]);
  app.dispose();
  return found[0];
}

function short(value: unknown): string {
  const text = inspect(value, { compact: true, breakLength: Infinity });
  return text.length > 30 ? `${text.slice(0, 30)}…` : text;
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
