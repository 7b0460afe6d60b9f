/** The fields of an approval's editor, from the JSON schema of its arguments: a number stays a number. */

export interface Field {
  name: string;
  label: string;
  kind: 'line' | 'text' | 'number' | 'boolean' | 'choice' | 'list' | 'json';
  required: boolean;
  /** Choices of an enumeration. */
  choices: string[];
  minimum?: number;
  maximum?: number;
  maxLength?: number;
  whole: boolean;
  /** What holds where it is not set. */
  assumed: unknown;
  /** Ids, structures, and what was not set beside what was: edited only by who looks for them. */
  technical: boolean;
}

type Schema = Record<string, unknown>;

/** Longer texts get several lines. */
const LINE_LENGTH = 200;

/** The fields in the schema's order, then arguments that the schema does not name. */
export function fieldsOf(schema: Schema, args: Record<string, unknown>): Field[] {
  const properties = asSchema(schema.properties);
  const required = Array.isArray(schema.required) ? schema.required : [];
  const names = [...new Set([...Object.keys(properties), ...Object.keys(args)])];
  const fields = names
    .map((name) => fieldOf(name, asSchema(properties[name]), args[name], required.includes(name)))
    .sort((one, other) => ORDER.indexOf(one.kind) - ORDER.indexOf(other.kind));
  const set = fields.filter(
    (field) => !field.technical && (field.required || args[field.name] !== undefined),
  );
  if (set.length === 0) return fields;
  return fields.map((field) => ({ ...field, technical: !set.includes(field) }));
}

/** Short fields stand before long ones; the service does not keep the order of a schema. */
const ORDER: readonly Field['kind'][] = ['line', 'number', 'choice', 'boolean', 'text', 'list', 'json'];

function fieldOf(name: string, given: Schema, value: unknown, required: boolean): Field {
  const schema = plainOf(given);
  const types = typesOf(schema, value);
  const choices = Array.isArray(schema.enum) ? schema.enum.filter((one) => typeof one === 'string') : [];
  const length = numberOf(schema.maxLength);
  const id = schema.format === 'uuid' || /_ids?$/.test(name);
  const strings =
    asSchema(schema.items).type === 'string' || (isStrings(value) && schema.items === undefined);
  const kind = ((): Field['kind'] => {
    if (choices.length > 0) return 'choice';
    if (types.includes('boolean')) return 'boolean';
    if (types.includes('integer') || types.includes('number')) return 'number';
    if (types.includes('array') && strings) return 'list';
    if (types.includes('object') || types.includes('array')) return 'json';
    const long =
      (length ?? 0) > 1_000 ||
      (typeof value === 'string' && (value.includes('\n') || value.length > LINE_LENGTH));
    return long ? 'text' : 'line';
  })();
  return {
    name,
    label: labelOf(name),
    kind,
    required,
    choices,
    minimum: numberOf(schema.minimum),
    maximum: numberOf(schema.maximum),
    maxLength: length,
    whole: types.includes('integer'),
    assumed: schema.default,
    technical: id || kind === 'json',
  };
}

/** A schema that allows null beside one other thing, as that thing. */
function plainOf(schema: Schema): Schema {
  const others = asList(schema.anyOf)
    .map(asSchema)
    .filter((one) => one.type !== 'null');
  return others.length === 1 ? { ...schema, ...others[0] } : schema;
}

function typesOf(schema: Schema, value: unknown): string[] {
  const declared = [schema.type, ...asList(schema.anyOf).map((one) => asSchema(one).type)].flat();
  const types = declared.filter((type): type is string => typeof type === 'string');
  if (types.length > 0) return types;
  if (Array.isArray(value)) return ['array'];
  return [value === null || value === undefined ? 'string' : typeof value];
}

/** "sender_profile_id" as "Sender profile id". */
export function labelOf(name: string): string {
  const words = name
    .replaceAll(/[_-]+/g, ' ')
    .replaceAll(/(\p{Ll})(\p{Lu})/gu, '$1 $2')
    .toLowerCase()
    .trim();
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** A value as the field's input shows it. */
export function toInput(field: Field, value: unknown): string {
  if (value === undefined || value === null) return '';
  if (field.kind === 'list' && Array.isArray(value)) return value.map(String).join('\n');
  return typeof value === 'string'
    ? value
    : JSON.stringify(value, null, field.kind === 'json' ? 2 : undefined);
}

/** What stands for a field that is not set. */
export function unsetOf(field: Field): string {
  return toInput(field, field.assumed) || 'not set';
}

/** What an input says as a value of the field's type; undefined for nothing. Throws a sentence where it is no such value. */
export function fromInput(field: Field, input: string): unknown {
  if (input.trim() === '' && !field.required) return undefined;
  switch (field.kind) {
    case 'number': {
      const number = Number(input);
      if (input.trim() === '' || !Number.isFinite(number)) throw new Error('This must be a number.');
      if (field.whole && !Number.isInteger(number)) throw new Error('This must be a whole number.');
      if (field.minimum !== undefined && number < field.minimum)
        throw new Error(`At least ${field.minimum}.`);
      if (field.maximum !== undefined && number > field.maximum) throw new Error(`At most ${field.maximum}.`);
      return number;
    }
    case 'boolean':
      return input === 'true';
    case 'list':
      return input
        .split('\n')
        .map((line) => line.trim())
        .filter((line) => line !== '');
    case 'json':
      try {
        return JSON.parse(input);
      } catch {
        throw new Error('This is not valid JSON.');
      }
    default:
      if (field.required && input.trim() === '') throw new Error('This cannot be empty.');
      return input;
  }
}

function asSchema(value: unknown): Schema {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Schema) : {};
}

function asList(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

function isStrings(value: unknown): boolean {
  return Array.isArray(value) && value.length > 0 && value.every((one) => typeof one === 'string');
}

/** Zod writes the widest whole number where there is no limit; that is none. */
function numberOf(value: unknown): number | undefined {
  return typeof value === 'number' && Math.abs(value) < Number.MAX_SAFE_INTEGER ? value : undefined;
}
