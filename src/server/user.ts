import { existsSync } from 'node:fs';
import { parseArgs } from 'node:util';
import pino from 'pino';
import { email as emailSchema, roles, type Role } from '../shared/auth.ts';
import { failureMessage } from '../shared/failures.ts';
import { disabling, roleChange } from './auth/administration.ts';
import { createAudit, type AuditEvent } from './auth/audit.ts';
import { publishing } from './auth/sessions/notifications.ts';
import type { Account, AccountChange } from './auth/store/auth-store.ts';
import { openStores } from './auth/store/open.ts';
import { loadEnvFile, readDatabase, sendsMail } from './env.ts';
import { runScript } from './script.ts';
import { StartupError } from './startup-error.ts';

interface Action {
  decide(account: Account): Omit<AccountChange, 'userId' | 'now'> | undefined;
  event(account: Account): Pick<AuditEvent, 'type' | 'detail'>;
  /** What is so afterwards, or already was. */
  state: string;
  /** What else has happened. */
  effect?: string;
}

const USAGE = {
  role: `npm run user:role -- EMAIL ${roles.join('|')}`,
  disable: 'npm run user:disable -- EMAIL',
  enable: 'npm run user:enable -- EMAIL',
};
const BY_SCRIPT = 'by a script';
const isRole = (text: string | undefined): text is Role => roles.some((role) => role === text);

/** @throws StartupError saying how to call it */
function readArguments(): { email: string; action: Action } {
  const [command = '', written = '', role, ...rest] = parseArgs({ allowPositionals: true }).positionals;
  if (command !== 'role' && command !== 'disable' && command !== 'enable')
    throw new StartupError(Object.values(USAGE).join('\n'));
  const email = emailSchema.safeParse(written);
  if (!email.success || rest.length > 0 || (command !== 'role' && role !== undefined))
    throw new StartupError(`Usage: ${USAGE[command]}`);
  if (command !== 'role') return { email: email.data, action: disablingAction(command === 'disable') };
  if (!isRole(role))
    throw new StartupError(
      `${role === undefined ? 'The role is missing' : `There is no role ${role}`}. Usage: ${USAGE.role}`,
    );
  return { email: email.data, action: roleAction(role) };
}

const roleAction = (role: Role): Action => ({
  decide: (account) => roleChange(account, role),
  event: (account) => ({ type: 'role_changed', detail: `${account.role} → ${role}, ${BY_SCRIPT}` }),
  state: `has the role ${role}`,
});

const disablingAction = (disabled: boolean): Action => ({
  decide: (account) => disabling(account, disabled, Date.now()),
  event: () => ({ type: disabled ? 'disabled' : 'enabled', detail: BY_SCRIPT }),
  state: disabled ? 'is disabled' : 'is enabled',
  ...(disabled && { effect: ', and every session has ended' }),
});

// npm run user:role -- ada@example.com admin; user:disable and user:enable -- ada@example.com
await runScript(async () => {
  const { email, action } = readArguments();
  loadEnvFile();
  const database = readDatabase();
  // Opening would create one.
  if (database.kind === 'sqlite' && !existsSync(database.path))
    throw new StartupError(`There is no database at ${database.path}.`);
  const log = pino({ level: 'silent' });
  await using opened = new AsyncDisposableStack();
  // The mail waits in the outbox, where the next look of a server finds it.
  const stores = await openStores(database, log, sendsMail() ? () => {} : undefined);
  opened.defer(() => stores.close());
  const told: Promise<void>[] = [];
  const store = publishing(stores.store, { publish: (change) => void told.push(stores.tellOthers(change)) });
  // Whenever somebody else was faster, the account has changed, so this ends.
  for (;;) {
    const account = await store.findAccountByEmail(email);
    if (account === undefined) throw new StartupError(`There is no account with the email ${email}.`);
    const changes = action.decide(account);
    if (changes === undefined) return [`${email} ${action.state} already. Nothing was changed.`];
    const now = Date.now();
    const { kind } = await store.changeAccount({ userId: account.id, now, ...changes });
    if (kind === 'overtaken') continue;
    if (kind !== 'changed') throw new StartupError(failureMessage({ code: kind }));
    await createAudit({ write: stores.auditStore.write, log, clock: Date.now }).record(undefined, {
      userId: account.id,
      ...action.event(account),
    });
    await Promise.all(told);
    return [`${email} ${action.state}${action.effect ?? ''}.`];
  }
});
