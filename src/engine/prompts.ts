/** Loads the words that models are given: Markdown with front matter, held at start against what the code fills in. */

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

export interface Prompt {
  /** `<folder>/<name>`, as it was required. */
  readonly id: string;
  /** The first 12 hex digits of the SHA-256 of the file, front matter included, line ends as LF. */
  readonly version: string;
  /** The model that the prompt asks for, in place of the configured one. */
  readonly model: string | undefined;
  readonly temperature: number | undefined;
  readonly inputs: readonly string[];
  /** Fills the slots; values are inserted as they are, so a slot inside a value stays text. Throws where one is missing. */
  render(values: Readonly<Record<string, string>>): string;
}

export interface Prompts {
  /** Throws where the prompt was not required at start. */
  get(id: string): Prompt;
}

export interface PromptsNeeds {
  /** Where the files lie: `<folder>/<id>.md`. */
  folder: string;
  /** Each prompt by its id, and the names of the slots that the code fills. */
  required: Readonly<Record<string, readonly string[]>>;
}

const FRONT_MATTER = /^---\n(.*?)\n?---\n(.*)$/s;
const SLOT = /\{\{\s*([a-z][a-z0-9_]*)\s*\}\}/g;

/**
 * Reads all required prompts. Throws, naming the file, where one is absent or malformed, where its text uses a slot
 * that `inputs` does not name or the reverse, and where its inputs are not those that the code fills.
 */
export function createPrompts({ folder, required }: PromptsNeeds): Prompts {
  const prompts = new Map<string, Prompt>();
  for (const [id, filled] of Object.entries(required)) {
    const prompt = parsePrompt(id, readFileSync(join(folder, `${id}.md`), 'utf8'));
    assertSame(`The prompt ${id} must have the inputs that the code fills`, prompt.inputs, filled);
    prompts.set(id, prompt);
  }
  return {
    get(id) {
      const prompt = prompts.get(id);
      if (prompt === undefined) throw new Error(`The prompt ${id} was not required at start.`);
      return prompt;
    },
  };
}

function parsePrompt(id: string, raw: string): Prompt {
  const content = raw.replaceAll('\r\n', '\n');
  const [, head, words] = FRONT_MATTER.exec(content) ?? [];
  if (head === undefined || words === undefined) {
    throw new Error(`The prompt ${id} must begin with front matter between two lines of "---".`);
  }
  const { model, temperature, inputs } = parseFrontMatter(id, head);
  const text = words.trim();
  const slots = [...text.matchAll(SLOT)].map(([, name = '']) => name);
  assertSame(`The prompt ${id} must use each of its inputs, and no other slot`, slots, inputs);
  if (/\{\{|\}\}/.test(text.replaceAll(SLOT, ''))) {
    throw new Error(`The prompt ${id} holds double braces that are no slot.`);
  }
  return {
    id,
    version: createHash('sha256').update(content).digest('hex').slice(0, 12),
    model,
    temperature,
    inputs,
    render(values) {
      return text.replaceAll(SLOT, (_match, name: string) => {
        const value = values[name];
        if (value === undefined) throw new Error(`The prompt ${id} was rendered without ${name}.`);
        return value;
      });
    },
  };
}

/** Lines of `key: value`; `inputs` is a list `[a, b]`. */
function parseFrontMatter(id: string, head: string) {
  const fields: { model?: string; temperature?: number; inputs: string[] } = { inputs: [] };
  for (const entry of head.split('\n').filter((one) => one.trim() !== '')) {
    const [, key, value = ''] = /^(\w+):\s*(.*?)\s*$/.exec(entry) ?? [];
    const list = /^\[(.*)\]$/.exec(value)?.[1];
    if (key === 'model' && /^\S+$/.test(value)) fields.model = value;
    else if (key === 'temperature' && /^[01](?:\.\d+)?$|^2(?:\.0+)?$/.test(value))
      fields.temperature = Number(value);
    else if (key === 'inputs' && list !== undefined) {
      fields.inputs = list
        .split(',')
        .map((name) => name.trim())
        .filter((name) => name !== '');
    } else {
      throw new Error(`The front matter of the prompt ${id} has a line that is not understood: ${entry}`);
    }
  }
  return fields;
}

function assertSame(rule: string, found: readonly string[], expected: readonly string[]): void {
  const difference = new Set([
    ...found.filter((name) => !expected.includes(name)),
    ...expected.filter((name) => !found.includes(name)),
  ]);
  if (difference.size > 0) throw new Error(`${rule}; this does not hold for: ${[...difference].join(', ')}.`);
}
