/** What a JSON schema allows and refuses, for tests that send both: a sample, its fields, and values of a wrong type. */

export type JsonSchema = Record<string, unknown>;

/** Where a value stands below the root. */
export type Path = (string | number)[];

export interface Field {
  path: Path;
  schema: JsonSchema;
}

/** A value of the schema with all its fields; rules that a JSON schema cannot say may still refuse it. */
export function sampleOf(schema: JsonSchema): unknown {
  const { const: constant, enum: choices, default: standard } = schema;
  if (constant !== undefined) return constant;
  if (Array.isArray(choices)) return choices[0];
  if (standard !== undefined) return standard;
  const branches = branchesOf(schema);
  if (branches.length > 0) return sampleOf(branches.find((branch) => branch.type !== 'null') ?? {});
  switch (typesOf(schema)[0]) {
    case 'object':
      return Object.fromEntries(propertiesOf(schema).map(([name, inner]) => [name, sampleOf(inner)]));
    case 'array':
      return [sampleOf(recordOf(schema.items))];
    case 'string':
      return sampleText(schema);
    case 'integer':
    case 'number':
      return Math.max(1, typeof schema.minimum === 'number' ? schema.minimum : 1);
    case 'boolean':
      return true;
    default:
      return null;
  }
}

function sampleText({ format, pattern, minLength }: JsonSchema): string {
  if (format === 'uuid') return '019a0000-0000-7000-8000-0000000000ff';
  if (format === 'email') return 'somebody@example.com';
  if (format === 'date-time') return '2026-01-01T00:00:00Z';
  if (typeof pattern === 'string' && pattern.includes('{64}')) return 'a'.repeat(64);
  return 'x'.repeat(Math.max(1, typeof minLength === 'number' ? minLength : 1));
}

/** The fields below the schema, to any depth, through unions and arrays. */
export function fieldsOf(schema: JsonSchema, path: Path = []): Field[] {
  const inside = [
    ...propertiesOf(schema).map(([name, inner]) => ({ path: [...path, name], schema: inner })),
    ...(schema.items === undefined ? [] : [{ path: [...path, 0], schema: recordOf(schema.items) }]),
  ];
  return [
    ...inside.flatMap((field) => [field, ...fieldsOf(field.schema, field.path)]),
    ...branchesOf(schema).flatMap((branch) => fieldsOf(branch, path)),
  ];
}

const TOKENS = { object: '{"x":[]}', array: '[{}]', boolean: 'true', number: '12', string: '"zz"' };

/** JSON text that the schema must refuse for its type; null where it takes every type. */
export function wrongToken(schema: JsonSchema): string | null {
  const accepted = acceptedTypes(schema);
  if (accepted.length === 0) return null;
  const wrong = Object.entries(TOKENS).find(([type]) => !accepted.includes(type));
  return wrong?.[1] ?? null;
}

function acceptedTypes(schema: JsonSchema): string[] {
  const { const: constant, enum: choices } = schema;
  const given = [
    ...typesOf(schema),
    ...branchesOf(schema).flatMap(acceptedTypes),
    ...(constant === undefined ? [] : [typeof constant]),
    ...(Array.isArray(choices) ? choices.map((choice) => typeof choice) : []),
  ];
  return given.map((type) => (type === 'integer' ? 'number' : type));
}

/** Puts JSON text in the place of the value at `path`, making what leads there; answers the JSON text of the whole. */
export function withToken(sample: unknown, path: Path, token: string): string {
  const mark = '@@ here @@';
  const root = structuredClone(sample);
  let holder: unknown = root;
  for (const [index, step] of path.entries()) {
    if (typeof holder !== 'object' || holder === null) return token;
    if (index === path.length - 1) Reflect.set(holder, step, mark);
    else if (typeof Reflect.get(holder, step) !== 'object' || Reflect.get(holder, step) === null) {
      Reflect.set(holder, step, typeof path[index + 1] === 'number' ? [] : {});
    }
    holder = Reflect.get(holder, step);
  }
  return JSON.stringify(path.length === 0 ? mark : root).replace(JSON.stringify(mark), () => token);
}

function typesOf({ type }: JsonSchema): string[] {
  return Array.isArray(type) ? type.map(String) : type === undefined ? [] : [String(type)];
}

function branchesOf({ anyOf, oneOf, allOf }: JsonSchema): JsonSchema[] {
  return [anyOf, oneOf, allOf].flatMap((list) => (Array.isArray(list) ? list.map(recordOf) : []));
}

function propertiesOf({ properties }: JsonSchema): [string, JsonSchema][] {
  return Object.entries(recordOf(properties)).map(([name, inner]) => [name, recordOf(inner)]);
}

export function recordOf(value: unknown): JsonSchema {
  return typeof value === 'object' && value !== null ? { ...value } : {};
}
