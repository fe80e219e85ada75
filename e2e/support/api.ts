import type { Grant } from '../../src/shared/auth.ts';
import type { RunningServer } from './server.ts';
import type { Person } from './people.ts';

export async function call(
  { url }: Pick<RunningServer, 'url'>,
  procedure: string,
  { input, headers }: { input?: unknown; headers?: Record<string, string> } = {},
): Promise<Response> {
  return fetch(`${url}/trpc/${procedure}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    ...(input !== undefined && { body: JSON.stringify(input) }),
  });
}

export async function createAccount(server: Pick<RunningServer, 'url'>, person: Person): Promise<Grant> {
  const response = await call(server, 'auth.register', { input: person });
  const body = (await response.json()) as { result?: { data: Grant } };
  if (body.result === undefined) throw new Error(`Registering failed: ${JSON.stringify(body)}`);
  return body.result.data;
}
