import { z } from 'zod';

// Zod compiles its parsers with `new Function` where it may. The content security policy forbids that, and even asking is
// reported as a violation; so this comes before any module that makes a schema.
z.config({ jitless: true });
