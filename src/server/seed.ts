import { developmentSecrets } from './development-secrets.ts';
import { hasOwnSecrets, loadEnvFile, readSettings } from './env.ts';
import { createLog } from './log.ts';
import { runScript } from './script.ts';
import { createServices } from './services.ts';
import { StartupError } from './startup-error.ts';

const PASSWORD = 'correct horse battery staple';
/** The first becomes an admin. */
const PEOPLE = ['ada', 'grace', 'linus'];

// Adds accounts to the development database. Running it again changes nothing.
await runScript(async () => {
  loadEnvFile();
  if (hasOwnSecrets())
    throw new StartupError(
      'db:seed is for development: everybody knows the password of the accounts that it adds, one of which is an admin. JWT_ACCESS_SECRET is set, as in production, so nothing was added.',
    );
  const settings = readSettings({ production: false, fallback: developmentSecrets() });
  await using services = await createServices(settings, await createLog(settings));
  const lines: string[] = [];
  for (const username of PEOPLE) {
    const email = `${username}@example.com`;
    const result = await services.accounts.create({ username, email, password: PASSWORD });
    const outcome = result.kind === 'failed' ? result.failure.code : 'created';
    if (username === PEOPLE[0] && result.kind === 'account')
      await services.changeAccount({ userId: result.account.id, now: Date.now(), set: { role: 'admin' } });
    const account = await services.findAccountByEmail(email);
    lines.push(`${email}  ${PASSWORD}  (${outcome}${account?.role === 'admin' ? ', an admin' : ''})`);
  }
  return lines;
});
