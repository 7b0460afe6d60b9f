/** Keeps the house as design.md §2 draws it: imports go down, and what belongs to one room stays there. */

import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { ERROR_STATUS } from '../src/errors.ts';

const ROOT = path.resolve(import.meta.dirname, '..');

/** Rooms from the top down; a file may import from its own room and those behind it in the list. */
const ORDER: [string, RegExp][] = [
  ['main', /^src\/(main|process)\.ts$/],
  ['app', /^src\/app\.ts$/],
  ['tracing', /^src\/tracing\//],
  ['graphs', /^graphs\//],
  ['engine', /^src\/engine\//],
  ['mcp', /^src\/mcp\//],
  ['jobs', /^src\/jobs\//],
  ['tools', /^src\/tools\//],
  ['resources', /^src\/resources\//],
  ['config', /^src\/config\.ts$/],
  ['http', /^src\/http\//],
  ['wire', /^src\/wire\//],
  ['db', /^src\/db\//],
  ['log', /^src\/log\.ts$/],
  ['runtime', /^src\/runtime\//],
  ['errors', /^src\/errors\.ts$/],
];

interface SourceFile {
  name: string;
  text: string;
  imports: string[];
}

function filesBelow(folder: string): string[] {
  return readdirSync(path.join(ROOT, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => path.relative(ROOT, path.join(entry.parentPath, entry.name)));
}

function readSource(name: string): SourceFile {
  const text = readFileSync(path.join(ROOT, name), 'utf8');
  const imports = [
    ...text.matchAll(/(?:^|\n)\s*(?:import|export)[^;'"]*?from\s+'([^']+)'|import\('([^']+)'\)/g),
  ].map((match) => match[1] ?? match[2] ?? '');
  return { name, text, imports };
}

const files = [...filesBelow('src'), ...filesBelow('graphs'), ...filesBelow('migrations')].map(readSource);
const server = files.filter(
  (file) => !file.name.startsWith('src/client/') && !file.name.startsWith('migrations/'),
);

function roomOf(name: string): number {
  return ORDER.findIndex(([, pattern]) => pattern.test(name));
}

function resolved(file: SourceFile, specifier: string): string {
  return path.relative(ROOT, path.resolve(ROOT, path.dirname(file.name), specifier));
}

/** Files that import a package although their place does not allow it. */
function strangers(packages: RegExp, allowed: RegExp): string[] {
  return files
    .filter((file) => !allowed.test(file.name))
    .flatMap((file) =>
      file.imports.filter((name) => packages.test(name)).map((name) => `${file.name} imports ${name}`),
    );
}

describe('the house', () => {
  it('gives every file of the service a room', () => {
    expect(server.filter((file) => roomOf(file.name) < 0).map((file) => file.name)).toEqual([]);
  });

  it('lets imports go down only', () => {
    const upward = server.flatMap((file) =>
      file.imports
        .filter((specifier) => specifier.startsWith('.'))
        .map((specifier) => resolved(file, specifier))
        .filter((target) => roomOf(target) >= 0 && roomOf(target) < roomOf(file.name))
        .map((target) => `${file.name} imports ${target}`),
    );
    expect(upward).toEqual([]);
  });

  it('keeps the runtime free of everything but the errors', () => {
    const foreign = files
      .filter((file) => file.name.startsWith('src/runtime/'))
      .flatMap((file) =>
        file.imports
          .filter((specifier) => !specifier.startsWith('./') && specifier !== '../errors.ts')
          .map((specifier) => `${file.name} imports ${specifier}`),
      );
    expect(foreign).toEqual([]);
  });

  it('has no circle of imports', () => {
    const byName = new Map(files.map((file) => [file.name, file]));
    const done = new Set<string>();
    const circles: string[] = [];
    const visit = (name: string, trail: string[]): void => {
      if (trail.includes(name)) circles.push([...trail.slice(trail.indexOf(name)), name].join(' → '));
      if (done.has(name) || trail.includes(name)) return;
      const file = byName.get(name);
      // A type has no place at run time, so two files may know each other's types.
      for (const specifier of runtimeImports(file?.text ?? ''))
        visit(resolved(file ?? { name, text: '', imports: [] }, specifier), [...trail, name]);
      done.add(name);
    };
    for (const file of files) visit(file.name, []);
    expect(circles).toEqual([]);
  });

  it('lets Koa stay at the door', () => {
    expect(strangers(/^koa/, /^src\/(http\/|app\.ts)|^src\/resources\/[^/]+\/routes\.ts/)).toEqual([]);
  });

  it('lets LangChain stay in the engine and the graphs', () => {
    expect(strangers(/^@langchain\//, /^(src\/engine|graphs)\//)).toEqual([]);
  });

  it('lets OpenTelemetry stay in tracing, which is loaded only where it is wanted', () => {
    expect(strangers(/^@opentelemetry\//, /^src\/tracing\//)).toEqual([]);
    const loaded = server.flatMap((file) =>
      runtimeImports(file.text)
        .filter((specifier) => specifier.includes('tracing/'))
        .map((specifier) => `${file.name} imports ${specifier}`),
    );
    expect(loaded).toEqual([]);
  });

  it('lets SQL stay where rows are kept', () => {
    expect(
      strangers(
        /^(kysely|pg)(\/|$)/,
        /^src\/(db|resources|jobs)\/|^src\/engine\/checkpoint|^src\/app\.ts|^migrations\//,
      ),
    ).toEqual([]);
  });

  it('reads the environment in one file', () => {
    const readers = files.filter((file) =>
      /process\.env\b/.test(file.text.replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*/g, '')),
    );
    expect(readers.map((file) => file.name).sort()).toEqual(['src/client/chat.ts', 'src/config.ts']);
  });

  it('opens every file with a sentence on what it is for', () => {
    expect(files.filter((file) => !file.text.startsWith('/**')).map((file) => file.name)).toEqual([]);
  });

  it('lists every error code in the README', () => {
    const readme = readFileSync(path.join(ROOT, 'README.md'), 'utf8');
    expect(Object.keys(ERROR_STATUS).filter((code) => !readme.includes(`\`${code}\``))).toEqual([]);
  });

  it('names every dependency in the README', () => {
    const readme = readFileSync(path.join(ROOT, 'README.md'), 'utf8');
    const manifest = JSON.parse(readFileSync(path.join(ROOT, 'package.json'), 'utf8'));
    const names = Object.keys({ ...manifest.dependencies, ...manifest.devDependencies });
    expect(names.filter((name) => !readme.includes(`\`${name}\``))).toEqual([]);
  });
});

function runtimeImports(text: string): string[] {
  return [...text.matchAll(/(?:^|\n)(?:import|export)\s+(?!type\b)([^;'"]*?)from\s+'(\.[^']+)'/g)]
    .filter((match) => !/^\{(\s*type\s+\w+(\s+as\s+\w+)?\s*,?)*\}\s*$/.test(match[1]?.trim() ?? ''))
    .map((match) => match[2] ?? '');
}
