import * as z from 'zod/mini';
import { email } from './auth.ts';

export const emailChangeInput = z.strictObject({ email });
