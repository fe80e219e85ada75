import type * as z from 'zod/mini';
import { fail, type Context } from '../trpc.ts';

/** Opaque to clients, so that what is in it can change. */
export const encodeCursor = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');

function parsed(cursor: string): unknown {
  try {
    return JSON.parse(Buffer.from(cursor, 'base64url').toString());
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** @throws FailureError if it is not a cursor of this list */
export async function decodeCursor<Schema extends z.ZodMiniType>(
  ctx: Context,
  cursor: string | undefined,
  schema: Schema,
): Promise<z.infer<Schema> | undefined> {
  if (cursor === undefined) return undefined;
  const { success, data } = schema.safeParse(parsed(cursor));
  if (success) return data;
  const fields = { cursor: ['This is not a cursor of this list.'] };
  return fail(ctx, { kind: 'failed', failure: { code: 'invalid_input', fields } });
}
