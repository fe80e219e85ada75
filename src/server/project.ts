import { fileURLToPath } from 'node:url';

/**
 * @param path relative to the project's folder
 * @returns the absolute path
 */
// The files in dist/server, where this one is bundled, are as deep in the project as this one.
export const inProject = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url));
