/** Runs before anything else, in plain JavaScript, so that an old Node can say what is wrong with it. */

const [major = 0] = process.versions.node.split('.').map(Number);
if (major < 24) {
  process.stderr.write(
    `Overture needs Node 24 or newer; this is ${process.version}. Run it with "npm start": "npm ci" installs the right Node beside it.\n`,
  );
  process.exit(1);
}
