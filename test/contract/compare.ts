/** Tells in which points a published API differs from the contract that it shall keep. */

import { type JsonSchema, recordOf } from '../support/json-schema.ts';
import { followed, listOf, type Shape, shapeOf } from './shape.ts';

export interface Difference {
  /** Where and what, in words that stay the same as long as it does. */
  what: string;
  /** The contract's authors read this point somewhere; else they guessed it. */
  documented: boolean;
}

/** A caller sends a request, and the service an answer: what one may leave out the other must bear. */
type Direction = 'request' | 'answer';

/** Compares every operation of the contract whose tag the published API has; more than the contract asks for is no difference. */
export function compare(contract: JsonSchema, published: JsonSchema): Difference[] {
  const tags = new Set(operationsOf(published).flatMap(({ operation }) => tagsOf(operation)));
  const ours = new Map(operationsOf(published).map((one) => [one.name, one.operation]));
  return operationsOf(contract)
    .filter(({ operation }) => tagsOf(operation).some((tag) => tags.has(tag)))
    .flatMap(({ name, operation }) => {
      const inferred = operation['x-inferred'] === true;
      const mine = ours.get(name);
      if (mine === undefined) return [{ what: `${name}: is missing`, documented: !inferred }];
      return [
        ...compareParameters(contract, published, operation, mine, inferred),
        ...compareBodies(contract, published, operation, mine, inferred),
        ...compareAnswers(contract, published, operation, mine, inferred),
      ].map(({ what, documented }) => ({ what: `${name} ${what}`, documented }));
    });
}

/** The names of the operations that both have: `POST /api/v1/agent/chat`. */
export function operationsOf(document: JsonSchema): { name: string; operation: JsonSchema }[] {
  return Object.entries(recordOf(document.paths)).flatMap(([path, methods]) =>
    Object.entries(recordOf(methods)).map(([method, operation]) => ({
      name: `${method.toUpperCase()} ${path}`,
      operation: recordOf(operation),
    })),
  );
}

function tagsOf({ tags }: JsonSchema): string[] {
  return Array.isArray(tags) ? tags.map(String) : [];
}

function compareParameters(
  contract: JsonSchema,
  published: JsonSchema,
  operation: JsonSchema,
  mine: JsonSchema,
  inferred: boolean,
): Difference[] {
  const parametersOf = (document: JsonSchema, { parameters }: JsonSchema) =>
    listOf(parameters).map((one) => followed(document, one));
  const ours = parametersOf(published, mine);
  return parametersOf(contract, operation).flatMap((parameter) => {
    const place = `${parameter.in} ${parameter.name}`;
    const documented = !inferred && parameter['x-inferred'] !== true;
    const match = ours.find((one) => one.name === parameter.name && one.in === parameter.in);
    if (match === undefined) return [{ what: `${place}: is missing`, documented }];
    const needs = (one: JsonSchema) => one.required === true;
    return [
      ...(needs(match) === needs(parameter)
        ? []
        : [{ what: `${place}: ${needs(match) ? 'is required' : 'may be left out'}`, documented }]),
      ...compareShapes(
        'request',
        place,
        inAddress(parameter, shapeOf(contract, recordOf(parameter.schema), !documented)),
        inAddress(parameter, shapeOf(published, recordOf(match.schema))),
      ),
    ];
  });
}

/** An address has no null. In a path, text that is no id names nothing: it is answered as an unknown id is. */
function inAddress(parameter: JsonSchema, shape: Shape): Shape {
  return {
    ...shape,
    types: new Set([...shape.types].filter((type) => type !== 'null')),
    format: parameter.in === 'path' ? null : shape.format,
  };
}

function compareBodies(
  contract: JsonSchema,
  published: JsonSchema,
  operation: JsonSchema,
  mine: JsonSchema,
  inferred: boolean,
): Difference[] {
  const asked = recordOf(operation.requestBody);
  const taken = recordOf(mine.requestBody);
  if (operation.requestBody === undefined)
    return taken.required === true ? [{ what: 'body: is required', documented: !inferred }] : [];
  const documented = !inferred && asked['x-inferred'] !== true;
  const needs: Difference[] =
    (asked.required === true) === (taken.required === true)
      ? []
      : [{ what: `body: ${taken.required === true ? 'is required' : 'may be left out'}`, documented }];
  return [...needs, ...compareContents('request', 'body', contract, published, asked, taken, !documented)];
}

function compareAnswers(
  contract: JsonSchema,
  published: JsonSchema,
  operation: JsonSchema,
  mine: JsonSchema,
  inferred: boolean,
): Difference[] {
  const ours = recordOf(mine.responses);
  return Object.entries(recordOf(operation.responses)).flatMap(([status, response]) => {
    const asked = followed(contract, recordOf(response));
    const documented = !inferred && asked['x-inferred'] !== true;
    if (ours[status] === undefined) return [{ what: `${status}: is missing`, documented }];
    const told = followed(published, recordOf(ours[status]));
    return [
      ...Object.keys(recordOf(asked.headers))
        .filter((name) => recordOf(told.headers)[name] === undefined)
        .map((name) => ({ what: `${status} header ${name}: is missing`, documented })),
      ...compareContents('answer', status, contract, published, asked, told, !documented),
    ];
  });
}

function compareContents(
  direction: Direction,
  place: string,
  contract: JsonSchema,
  published: JsonSchema,
  asked: JsonSchema,
  told: JsonSchema,
  inferred: boolean,
): Difference[] {
  const ours = recordOf(told.content);
  return Object.entries(recordOf(asked.content)).flatMap(([type, content]) => {
    if (ours[type] === undefined) return [{ what: `${place}: ${type} is missing`, documented: !inferred }];
    // Frames of a stream are no JSON document.
    if (type === 'text/event-stream') return [];
    return compareShapes(
      direction,
      place,
      shapeOf(contract, recordOf(recordOf(content).schema), inferred),
      shapeOf(published, recordOf(recordOf(ours[type]).schema)),
    );
  });
}

function compareShapes(direction: Direction, place: string, asked: Shape, told: Shape): Difference[] {
  const found = [
    ...typeDifferences(direction, asked, told),
    ...valueDifferences(direction, asked, told),
    ...limitDifferences(direction, asked, told),
    ...(direction === 'request' && asked.standard !== told.standard && asked.standard !== null
      ? [`default ${asked.standard} is ${told.standard ?? 'none'}`]
      : []),
    ...formatDifferences(direction, asked, told),
  ].map((what) => ({ what: `${place}: ${what}`, documented: !asked.inferred }));
  const below = [...asked.properties].flatMap(([name, inner]): Difference[] => {
    const inPlace = `${place}${/^(body|\d+)$/.test(place) ? ' ' : '.'}${name}`;
    const documented = !inner.inferred && !asked.inferred;
    const match = told.properties.get(name);
    if (match === undefined) return [{ what: `${inPlace}: is missing`, documented }];
    const wanted = asked.required.has(name);
    const given = told.required.has(name);
    // An answer may hold more than was promised; a request must not need more.
    const presence =
      wanted === given || (direction === 'answer' && given)
        ? []
        : [{ what: `${inPlace}: ${given ? 'is required' : 'may be left out'}`, documented }];
    return [...presence, ...compareShapes(direction, inPlace, inner, match)];
  });
  const items =
    asked.items === null || told.items === null
      ? []
      : compareShapes(direction, `${place}[]`, asked.items, told.items);
  return [...found, ...below, ...items];
}

function typeDifferences(direction: Direction, asked: Shape, told: Shape): string[] {
  const [narrow, wide] = direction === 'request' ? [asked, told] : [told, asked];
  if (wide.types.size === 0) return [];
  if (narrow.types.size === 0)
    return narrow.values === null
      ? [
          `${direction === 'request' ? 'takes only' : 'may be more than'} ${[...wide.types].sort().join(' or ')}`,
        ]
      : [];
  return [...narrow.types]
    .filter((type) => !wide.types.has(type) && !(type === 'integer' && wide.types.has('number')))
    .map((type) => (direction === 'request' ? `refuses ${type}` : `may be ${type}`));
}

function valueDifferences(direction: Direction, asked: Shape, told: Shape): string[] {
  if (asked.values === null)
    return direction === 'request' && told.values !== null
      ? [`takes only ${[...told.values].sort().join(', ')}`]
      : [];
  if (told.values === null) return ['has any value'];
  const less = [...asked.values.difference(told.values)].map((value) => `refuses ${value}`);
  const more = [...told.values.difference(asked.values)].map((value) => `may be ${value}`);
  return direction === 'request' ? [...less, ...more] : more;
}

function limitDifferences(direction: Direction, asked: Shape, told: Shape): string[] {
  if (direction === 'answer') return [];
  return (
    Object.keys({ ...asked.limits, ...told.limits })
      // A limit where the contract has none is ours to set, as long as it is far away.
      .filter((name) => asked.limits[name] !== undefined || isNear(name, told.limits[name]))
      .filter((name) => asked.limits[name] !== told.limits[name])
      .map((name) => `${name} ${asked.limits[name] ?? 'none'} is ${told.limits[name] ?? 'none'}`)
  );
}

/** Whether a limit refuses what somebody may well send: anything but one character, item or unit at least. */
function isNear(name: string, limit: number | undefined): boolean {
  return limit !== undefined && name.startsWith('min') ? limit > 1 : false;
}

function formatDifferences(direction: Direction, asked: Shape, told: Shape): string[] {
  if (asked.format === told.format) return [];
  if (direction === 'request') return told.format === null ? [] : [`takes only ${told.format}`];
  return asked.format === null ? [] : [`is no ${asked.format}`];
}
