// Run in a process of its own by chromium.ts: the package unpacks into TMPDIR, and reads that once.
import chromium from '@sparticuz/chromium';

await chromium.executablePath();
