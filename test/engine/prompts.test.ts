import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createPrompts } from '../../src/engine/prompts.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'overture-prompts-'));
  mkdirSync(join(folder, 'some'));
});
afterAll(() => rmSync(folder, { recursive: true }));

function load(content: string, slots: string[] = []) {
  writeFileSync(join(folder, 'some/prompt.md'), content);
  return createPrompts({ folder, required: { 'some/prompt': slots } }).get('some/prompt');
}

describe('prompts', () => {
  it('are read with their front matter and filled slot by slot', () => {
    const prompt = load(
      '---\nmodel: gpt-test\ntemperature: 0.3\ninputs: [name, place]\n---\n\nHi {{name}} in {{ place }}, {{name}}!\n',
      ['place', 'name'],
    );
    expect(prompt).toMatchObject({ model: 'gpt-test', temperature: 0.3, inputs: ['name', 'place'] });
    expect(prompt.render({ name: 'Jo', place: 'Oslo' })).toBe('Hi Jo in Oslo, Jo!');
  });

  it('insert values as they are, even those that look like slots or patterns', () => {
    const prompt = load('---\ninputs: [a, b]\n---\n{{a}} {{b}}', ['a', 'b']);
    expect(prompt.render({ a: '{{b}} $& $1', b: 'x' })).toBe('{{b}} $& $1 x');
    expect(() => prompt.render({ a: 'x' })).toThrow('without b');
  });

  it('have a version that follows the content and not the line ends', () => {
    const content = '---\ninputs: []\n---\nHello.\n';
    const { version } = load(content);
    expect(version).toBe(createHash('sha256').update(content).digest('hex').slice(0, 12));
    expect(load(content.replaceAll('\n', '\r\n')).version).toBe(version);
    expect(load(content.replace('Hello', 'Hallo')).version).not.toBe(version);
  });

  it.each([
    ['uses a slot that its inputs do not name', '---\ninputs: []\n---\n{{a}}', ['a'], 'a'],
    ['names an input that its text does not use', '---\ninputs: [a]\n---\nHi', ['a'], 'a'],
    ['lacks a slot that the code fills', '---\ninputs: [a]\n---\n{{a}}', ['a', 'b'], 'b'],
    ['has a slot that the code does not fill', '---\ninputs: [a, b]\n---\n{{a}}{{b}}', ['a'], 'b'],
    ['has no front matter', 'Hi', [], 'front matter'],
    ['has front matter that does not end', '---\ninputs: []\nHi', [], 'front matter'],
    ['has an unknown key', '---\ninput: []\n---\nHi', [], 'input: []'],
    ['has a temperature out of range', '---\ntemperature: 3\n---\nHi', [], 'temperature: 3'],
    ['has braces that are no slot', '---\ninputs: []\n---\nHi {{ First Name }}', [], 'braces'],
  ])('stop the start when one %s', (_what, content, slots, words) => {
    expect(() => load(content, slots)).toThrow(words);
  });

  it('stop the start when a file is absent, and answer only what was required', () => {
    expect(() => createPrompts({ folder, required: { 'some/other': [] } })).toThrow('other.md');
    expect(() => createPrompts({ folder, required: {} }).get('some/prompt')).toThrow('not required');
  });

  it('of this repository load with the slots that the code fills', () => {
    const prompts = createPrompts({
      folder: join(import.meta.dirname, '../../prompts'),
      required: {
        'outreach/system': ['today', 'workspace_name', 'sandbox_note'],
        'personalize/default': [],
        'personalize/find_commonalities': [],
        'personalize/write_email': ['guidance'],
      },
    });
    const filled = prompts.get('outreach/system').render({
      today: '2026-11-21',
      workspace_name: 'Example',
      sandbox_note: 'Mail is kept here.',
    });
    expect(filled).toContain('the outreach assistant of Example');
    expect(filled).toContain('__untrusted_third_party_content');
  });
});
