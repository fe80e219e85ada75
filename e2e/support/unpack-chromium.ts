// Run by chromium.ts in a separate process: the package unpacks into TMPDIR, which it reads on import.
import chromium from '@sparticuz/chromium';

await chromium.executablePath();
