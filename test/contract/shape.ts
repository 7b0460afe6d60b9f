/** A JSON schema as one flat shape, its references followed and its branches laid together, so that two can be compared. */

import { type JsonSchema, recordOf } from '../support/json-schema.ts';

export interface Shape {
  /** JSON's types, `null` among them; empty where every type fits. */
  types: Set<string>;
  /** The only values, `null` left out; null where there are more. */
  values: Set<string> | null;
  limits: Record<string, number>;
  format: string | null;
  standard: string | null;
  properties: Map<string, Shape>;
  required: Set<string>;
  items: Shape | null;
  /** Its author guessed it. */
  inferred: boolean;
}

const LIMITS = ['minimum', 'maximum', 'minLength', 'maxLength', 'minItems', 'maxItems'];

/** Lays out `schema`, following references into `document`; `inferred` is what holds above it. */
export function shapeOf(document: JsonSchema, schema: JsonSchema, inferred = false): Shape {
  const own = followed(document, schema);
  const guessed = [schema, own].some(
    (one) => one['x-inferred'] === true || one['x-inferred_constraints'] === true,
  );
  const deep = (inner: JsonSchema) => shapeOf(document, inner, inferred || guessed);
  const parts = listOf(own.allOf).map(deep);
  const branches = [...listOf(own.anyOf), ...listOf(own.oneOf)].map(deep);
  const united = branches.length === 0 ? [] : [unite(branches)];
  return join([plainShape(own, inferred || guessed, deep), ...parts, ...united]);
}

function plainShape(own: JsonSchema, inferred: boolean, deep: (inner: JsonSchema) => Shape): Shape {
  const { type, format, items, required } = own;
  const constants = Array.isArray(own.enum) ? own.enum : own.const === undefined ? null : [own.const];
  return {
    types: new Set(Array.isArray(type) ? type.map(String) : type === undefined ? [] : [String(type)]),
    values: constants === null ? null : new Set(constants.filter((one) => one !== null).map(String)),
    limits: Object.fromEntries(
      LIMITS.flatMap((name) => (typeof own[name] === 'number' ? [[name, own[name]]] : [])),
    ),
    format: typeof format === 'string' ? format : null,
    standard: own.default === undefined || own.default === null ? null : JSON.stringify(own.default),
    properties: new Map(
      Object.entries(recordOf(own.properties)).map(([name, inner]) => [name, deep(recordOf(inner))]),
    ),
    required: new Set(Array.isArray(required) ? required.map(String) : []),
    items: items === undefined ? null : deep(recordOf(items)),
    inferred,
  };
}

/** All of them hold. */
function join(shapes: Shape[]): Shape {
  return shapes.reduce((one, other) => ({
    types: one.types.size === 0 ? other.types : one.types,
    values: one.values ?? other.values,
    limits: { ...one.limits, ...other.limits },
    format: one.format ?? other.format,
    standard: one.standard ?? other.standard,
    properties: new Map([...one.properties, ...other.properties]),
    required: one.required.union(other.required),
    items: one.items ?? other.items,
    inferred: one.inferred || other.inferred,
  }));
}

/** One of them holds; what only some of them say is not said. */
function unite(branches: Shape[]): Shape {
  const real = branches.filter(({ types }) => !(types.size === 1 && types.has('null')));
  const [first] = real;
  if (first === undefined) return join(branches);
  const only = real.length === 1;
  const any = branches.some(({ types, values }) => types.size === 0 && values === null);
  return {
    types: new Set(any ? [] : branches.flatMap(({ types }) => [...types])),
    values: real.some(({ values }) => values === null)
      ? null
      : new Set(real.flatMap(({ values }) => [...(values ?? [])])),
    limits: only ? first.limits : {},
    format: only ? first.format : null,
    standard: null,
    properties: new Map(real.flatMap(({ properties }) => [...properties])),
    required: real.map(({ required }) => required).reduce((one, other) => one.intersection(other)),
    items: real.find(({ items }) => items !== null)?.items ?? null,
    inferred: real.every(({ inferred }) => inferred),
  };
}

/** What a reference leads to; anything else is itself. */
export function followed(document: JsonSchema, value: JsonSchema): JsonSchema {
  if (typeof value.$ref !== 'string') return value;
  const target = value.$ref
    .slice('#/'.length)
    .split('/')
    .reduce<JsonSchema>((node, step) => recordOf(node[step]), document);
  return followed(document, target);
}

export function listOf(value: unknown): JsonSchema[] {
  return Array.isArray(value) ? value.map(recordOf) : [];
}
