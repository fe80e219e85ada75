import { fileURLToPath } from 'node:url';

/**
 * @param path relative to the project's folder
 * @returns the absolute path
 */
// As deep as this file is every one in dist/server, of which it becomes a part.
export const inProject = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url));
