import { config } from 'zod/mini';

// By default Zod compiles parsers with `new Function`, which our content security policy forbids, and even Zod's check for
// it is reported as a violation. Import this before any module that creates a schema.
config({ jitless: true });
