// The entry: checks the runtime, then hands over to start.ts. No `import` or `export` may stand here. Node before 22.18
// runs this file as plain CommonJS (see package.json beside it), and it is to end with a sentence, not with a stack trace
// from a native module that was built for another Node.
const NEEDED_NODE = 24;

if (Number(process.versions.node.split('.')[0]) < NEEDED_NODE) {
  process.stderr.write(
    `Latchkey needs Node ${NEEDED_NODE} or newer; this is ${process.version}.\n` +
      'The project brings its own: start it with `npm run dev` or `npm start`.\n',
  );
  process.exitCode = 1;
} else {
  void import('./start.ts').then(({ start }) => start());
}
