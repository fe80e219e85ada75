import { developmentSecrets } from './development-secrets.ts';
import { loadEnvFile, readSettings } from './env.ts';
import { createLog } from './log.ts';
import { createServices } from './services.ts';

const PASSWORD = 'correct horse battery staple';
/** The first becomes an admin. */
const PEOPLE = ['ada', 'grace', 'linus'];

// Adds accounts to the development database. Running it again changes nothing.
loadEnvFile();
const settings = readSettings({ production: false, fallback: developmentSecrets() });
await using services = await createServices(settings, await createLog(settings));
for (const username of PEOPLE) {
  const result = await services.accounts.create({ username, email: `${username}@example.com`, password: PASSWORD });
  const outcome = result.kind === 'failed' ? result.failure.code : 'created';
  const isAdmin = username === PEOPLE[0];
  if (isAdmin && result.kind === 'account')
    await services.changeAccount({ userId: result.account.id, now: Date.now(), set: { role: 'admin' } });
  process.stdout.write(`${username}@example.com  ${PASSWORD}  (${outcome}${isAdmin ? ', an admin' : ''})\n`);
}
