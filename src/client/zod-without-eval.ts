import { config } from 'zod/mini';

// Zod compiles parsers with `new Function`, which our CSP forbids; even its feature check is reported as a violation.
// Import this before any module that creates a schema.
config({ jitless: true });
