import { drizzle } from 'drizzle-orm/node-postgres';
import { migrate } from 'drizzle-orm/node-postgres/migrator';
import pg from 'pg';
import { inProject } from '../project.ts';
import { StartupError } from '../startup-error.ts';
import { DatabaseUnavailable } from './errors.ts';

const MIGRATIONS = inProject('drizzle/postgres');
/** How long to wait for a new connection, or for one of the pool. */
const CONNECT_TIMEOUT_MS = 2_000;
/** How long a statement may take, by PostgreSQL's clock and, where it no longer answers, by ours. */
const STATEMENT_TIMEOUT_MS = 5_000;
/** Shorter than that: a load balancer wants to know within two seconds. */
const PING_TIMEOUT_MS = 1_500;
/** Four servers leave a fifth of the 100 that PostgreSQL accepts by default to others. */
const MAX_CONNECTIONS = 20;

/** Advisory locks of this app, one number for each. */
const LOCKS = { migration: 5_284_001, purge: 5_284_002 } as const;

export type PostgresDatabase = Awaited<ReturnType<typeof openPostgres>>;

/**
 * Connects to a database and applies the migrations, while other servers that start wait for that.
 * @param url `postgres://user:password@host:port/database`
 * @param onError called with the error of a connection that breaks while it is not in use
 * @throws StartupError where the database cannot be reached, refuses the login or does not exist
 */
export async function openPostgres(url: string, onError: (error: Error) => void = () => {}) {
  try {
    await migrateExclusively(url);
  } catch (error) {
    const { host, pathname } = new URL(url);
    throw new StartupError(
      `Cannot open the database ${pathname.slice(1)} on ${host}: ${reasonOf(error)}. Check DATABASE_URL, and that PostgreSQL is running there.`,
      { cause: error },
    );
  }
  const pool: pg.Pool = new Pool({
    ...connection(url),
    Client,
    max: MAX_CONNECTIONS,
    statement_timeout: STATEMENT_TIMEOUT_MS,
    query_timeout: STATEMENT_TIMEOUT_MS,
    // Or the rows of a server that disappears in the middle of a transaction stay locked for hours.
    idle_in_transaction_session_timeout: STATEMENT_TIMEOUT_MS,
  });
  // Without a listener, such an error would end the process.
  pool.on('error', onError);
  const db = drizzle(pool);
  // Drizzle's own never gives back the connection on which BEGIN fails, until none is left.
  db.transaction = async (run, config) => {
    const client = await pool.connect();
    try {
      return await drizzle(client).transaction(run, config);
    } finally {
      client.release();
    }
  };

  return {
    /** Every query through it throws DatabaseUnavailable, or an error with it as its cause, where the database is to blame. */
    db,

    /** @throws DatabaseUnavailable where nothing can be written, or no answer comes in time */
    async ping(): Promise<void> {
      const timeout = Promise.withResolvers<never>();
      const timer = setTimeout(
        () => timeout.reject(new DatabaseUnavailable('The database does not answer.')),
        PING_TIMEOUT_MS,
      );
      try {
        // Deletes nothing, and is refused where the database is read-only. The type of pg does not know `query_timeout`.
        const write = { name: 'ping', text: 'delete from users where false', query_timeout: PING_TIMEOUT_MS };
        await Promise.race([pool.query(write), timeout.promise]);
      } finally {
        clearTimeout(timer);
      }
    },

    /**
     * Runs something on one server at a time.
     * @returns undefined where another server is at it
     */
    exclusively: <Result>(run: () => Promise<Result>): Promise<Result | undefined> =>
      withConnection(url, async (client) => {
        // The connection holds the lock, so that a server that dies releases it.
        const { rows } = await client.query('select pg_try_advisory_lock($1) as locked', [LOCKS.purge]);
        return rows[0].locked === true ? run() : undefined;
      }),

    close: () => pool.end(),
  };
}

const connection = (url: string) => ({
  connectionString: url,
  connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
  keepAlive: true,
  application_name: 'latchkey',
});

/** Runs something with a connection of its own, on which a statement may take as long as it likes. */
async function withConnection<Result>(url: string, run: (client: pg.Client) => Promise<Result>): Promise<Result> {
  const client = new Client(connection(url));
  await client.connect();
  try {
    const result = await run(client);
    await client.end();
    return result;
  } catch (error) {
    // Not awaited, because it waits for the other side, which may be gone.
    void client.end().catch(() => {});
    throw error;
  }
}

function migrateExclusively(url: string): Promise<void> {
  return withConnection(url, async (client) => {
    // Drizzle's migrator takes no lock, so two servers that start together would apply a migration twice.
    await client.query('select pg_advisory_lock($1)', [LOCKS.migration]);
    await migrate(drizzle(client), { migrationsFolder: MIGRATIONS });
  });
}

/** A client that throws DatabaseUnavailable, so that nobody else needs to know PostgreSQL's codes. */
class Client extends pg.Client {
  constructor(config?: string | pg.ClientConfig) {
    super(config);
    // A connection that breaks between two statements of a transaction would otherwise end the process: the pool listens
    // only while a connection is idle. The next query fails, which is enough.
    this.on('error', () => {});
  }

  // The types of its many overloads, which stay as they are, cannot be written down here.
  // oxlint-disable-next-line typescript/no-explicit-any
  override query(...args: any[]): any {
    const result: unknown = super.query(...(args as [string]));
    // With a callback, which is how the pool calls it, there is no promise.
    if (!(result instanceof Promise)) return result;
    return result.catch((error: unknown) => {
      // The answer may still come, and would be taken for that of the next query.
      if (isTimeout(error)) void this.end().catch(() => {});
      throw translated(error);
    });
  }
}

class Pool extends pg.Pool {
  // oxlint-disable-next-line typescript/no-explicit-any
  override query(...args: any[]): any {
    return (super.query(...(args as [string])) as Promise<unknown>).catch((error: unknown) => {
      throw translated(error);
    });
  }

  // oxlint-disable-next-line typescript/no-explicit-any
  override connect(...args: any[]): any {
    if (args.length > 0) return super.connect(...(args as [() => void]));
    return super.connect().catch((error: unknown) => {
      throw translated(error);
    });
  }
}

const translated = (error: unknown) =>
  isOutage(error) ? new DatabaseUnavailable('The database is unavailable.', { cause: error }) : error;

/**
 * SQLSTATE classes and codes (https://www.postgresql.org/docs/current/errcodes-appendix.html): connection, credentials,
 * catalog, read-only, serialization and deadlock, resources, lock, canceled by a timeout, shutdown, system and damage.
 */
const OUTAGE_STATES = /^(08|28|3D|25006|25P03|40|53|55P03|57|58|XX)/;
/** Errors of the driver have no code. */
const OUTAGE_MESSAGES =
  /^(Connection terminated|timeout expired|timeout exceeded when trying to connect|Query read timeout|Client has encountered a connection error|Client was closed|Cannot use a pool after calling end)/;

function isOutage(error: unknown): boolean {
  if (error instanceof pg.DatabaseError) return OUTAGE_STATES.test(error.code ?? '');
  // Of sockets and of name resolution.
  return (
    error instanceof Error &&
    ('syscall' in error || error instanceof AggregateError || OUTAGE_MESSAGES.test(error.message))
  );
}

const isTimeout = (error: unknown) => error instanceof Error && error.message === 'Query read timeout';

/** An AggregateError, for a host with several addresses, has no message of its own. */
function reasonOf(error: unknown): string {
  if (error instanceof DatabaseUnavailable) return reasonOf(error.cause);
  if (error instanceof AggregateError) return reasonOf(error.errors[0]);
  const { cause, message } = error as Error;
  return cause instanceof Error && !(error instanceof pg.DatabaseError) ? reasonOf(cause) : message;
}

/** The name of the unique constraint that a query has violated, or undefined for any other error. */
export function violatedConstraint(error: unknown): string | undefined {
  for (let cause = error; cause instanceof Error; cause = cause.cause)
    if (cause instanceof pg.DatabaseError && cause.code === '23505') return cause.constraint;
  return undefined;
}
