import * as z from 'zod/mini';

/** Text to look something up by. PostgreSQL takes none with a NUL in it. @param maxLength in UTF-16 code units */
export const text = (maxLength: number) => z.string().check(z.maxLength(maxLength), z.regex(/^[^\0]*$/));

const ID_MAX_LENGTH = 64;
/** Of an account or a session. */
export const id = text(ID_MAX_LENGTH);
