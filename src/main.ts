/** The process: it checks its Node, reads its settings, brings up the database, serves, and leaves in good order. */

const [major = 0] = process.versions.node.split('.').map(Number);
if (major < 24) {
  process.stderr.write(
    `Overture needs Node 24 or newer; this is ${process.version}. Run it with "npm start": "npm ci" installs the right Node beside it.\n`,
  );
  process.exit(1);
}

const { run } = await import('./process.ts');
await run(process.argv.slice(2));

export {};
