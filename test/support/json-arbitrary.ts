/** Values that a JSON schema allows, and the smallest steps over its limits, for tests that send both. */

import fc from 'fast-check';
import { type Field, fieldsOf, type JsonSchema, type Path, recordOf, sampleOf } from './json-schema.ts';

/** Ids that are there, by the name of the field or parameter that holds one. */
export type KnownIds = Readonly<Record<string, string>>;

/** Any value of the schema; rules that a JSON schema cannot say may still refuse it. */
export function arbitraryOf(schema: JsonSchema, ids: KnownIds = {}, name = ''): fc.Arbitrary<unknown> {
  const { const: constant, enum: choices, anyOf, oneOf, type } = schema;
  if (constant !== undefined) return fc.constant(constant);
  if (Array.isArray(choices)) return fc.constantFrom(...choices);
  const branches = [anyOf, oneOf].flatMap((list) => (Array.isArray(list) ? list.map(recordOf) : []));
  if (branches.length > 0) return fc.oneof(...branches.map((branch) => arbitraryOf(branch, ids, name)));
  if (Array.isArray(type))
    return fc.oneof(...type.map((one) => arbitraryOf({ ...schema, type: one }, ids, name)));
  switch (type) {
    case 'object':
      return objectOf(schema, ids);
    case 'array':
      return fc.array(arbitraryOf(recordOf(schema.items), ids, name.replace(/s$/, '')), {
        minLength: numberOf(schema.minItems, 0),
        maxLength: Math.min(numberOf(schema.maxItems, 3), numberOf(schema.minItems, 0) + 3),
      });
    case 'string':
      return textOf(schema, ids, name);
    case 'integer':
      return fc.integer({ min: numberOf(schema.minimum, -1000), max: numberOf(schema.maximum, 2 ** 31 - 1) });
    case 'number':
      return fc.double({
        min: numberOf(schema.minimum, -1e9),
        max: numberOf(schema.maximum, 1e9),
        noNaN: true,
      });
    case 'boolean':
      return fc.boolean();
    case 'null':
      return fc.constant(null);
    default:
      return fc.jsonValue({ maxDepth: 2 });
  }
}

function objectOf(schema: JsonSchema, ids: KnownIds): fc.Arbitrary<unknown> {
  const properties = Object.entries(recordOf(schema.properties));
  const record = fc.record(
    Object.fromEntries(properties.map(([name, inner]) => [name, arbitraryOf(recordOf(inner), ids, name)])),
    { requiredKeys: requiredOf(schema) },
  );
  if (schema.additionalProperties === false || properties.length > 0) return record;
  const names =
    schema.propertyNames === undefined ? fc.string({ minLength: 1, maxLength: 12 }) : namesOf(schema);
  return fc.dictionary(names, arbitraryOf(recordOf(schema.additionalProperties), ids), { maxKeys: 4 });
}

function namesOf(schema: JsonSchema): fc.Arbitrary<string> {
  return arbitraryOf({ type: 'string', ...recordOf(schema.propertyNames) }).map(String);
}

function textOf(schema: JsonSchema, ids: KnownIds, name: string): fc.Arbitrary<string> {
  const { format, pattern } = schema;
  const known = ids[name];
  const mine = known === undefined ? [] : [fc.constant(known), fc.constant(known)];
  if (format === 'uuid') return fc.oneof(...mine, fc.uuid({ version: 7 }));
  if (format === 'email')
    return fc.integer({ min: 0, max: 1e9 }).map((number) => `somebody.${number}@fuzz.example`);
  if (format === 'date-time')
    return fc
      .date({ min: new Date('2020-01-01'), max: new Date('2035-01-01'), noInvalidDate: true })
      .map((date) => date.toISOString());
  if (typeof pattern === 'string') return fc.stringMatching(new RegExp(pattern, 'u'));
  const minLength = numberOf(schema.minLength, 0);
  // Long texts are as good as short ones, but cost the machine more; the limit itself is tried beside.
  const maxLength = Math.min(numberOf(schema.maxLength, 40), minLength + 40);
  return fc.oneof(
    ...mine,
    fc.string({ minLength, maxLength, unit: 'grapheme-ascii' }),
    fc.string({ minLength, maxLength: Math.max(minLength, Math.floor(maxLength / 4)), unit: 'grapheme' }),
  );
}

/** An input that breaks one rule of the schema. */
export interface Violation {
  path: Path;
  /** JSON text to put there. */
  token: string;
  /** What is wrong with it. */
  rule: string;
}

/** One violation for each limit and each required field that the schema and what is below it have. */
export function violationsOf(schema: JsonSchema): Violation[] {
  return [{ path: [] as Path, schema }, ...fieldsOf(schema)].flatMap((field) => [
    ...requiredOf(field.schema).map((name): Violation => {
      const { [name]: _left, ...rest } = recordOf(sampleOf(field.schema));
      return { path: field.path, token: JSON.stringify(rest), rule: 'required' };
    }),
    ...limitsOf(field),
  ]);
}

function limitsOf({ path, schema }: Field): Violation[] {
  const { minLength, maxLength, minimum, maximum, minItems, maxItems, pattern, format } = schema;
  const found: Violation[] = [];
  const over = (rule: string, value: unknown) => found.push({ path, rule, token: JSON.stringify(value) });
  if (typeof maxLength === 'number' && maxLength <= 60_000) over('maxLength', 'x'.repeat(maxLength + 1));
  if (typeof minLength === 'number' && minLength > 0) over('minLength', 'x'.repeat(minLength - 1));
  if (typeof maximum === 'number') over('maximum', maximum + 1);
  if (typeof minimum === 'number') over('minimum', minimum - 1);
  if (typeof minItems === 'number' && minItems > 0) over('minItems', []);
  if (typeof maxItems === 'number' && maxItems <= 2000)
    over(
      'maxItems',
      Array.from({ length: maxItems + 1 }, () => null),
    );
  if (Array.isArray(schema.enum)) over('enum', 'no such choice');
  if (schema.type === 'integer') over('integer', 1.5);
  if (typeof pattern === 'string' || format !== undefined) over('pattern', '\u2620 never');
  return found;
}

function requiredOf({ required }: JsonSchema): string[] {
  return Array.isArray(required) ? required.map(String) : [];
}

function numberOf(value: unknown, otherwise: number): number {
  return typeof value === 'number' ? value : otherwise;
}
