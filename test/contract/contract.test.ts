/** What the service publishes is the contract, but for what differences.ts names and gives a reason for. */

import { readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type JsonSchema, recordOf } from '../support/json-schema.ts';
import { openStage, type Stage } from '../support/stage.ts';
import { compare, type Difference, operationsOf } from './compare.ts';
import { INTENDED } from './differences.ts';

/** The contract as JSON, without the texts that describe and the samples. */
const contract = recordOf(JSON.parse(readFileSync(path.join(import.meta.dirname, 'contract.json'), 'utf8')));

let stage: Stage;
let published: JsonSchema;

beforeAll(async () => {
  stage = await openStage();
  const service = await stage.start();
  published = recordOf(await (await fetch(`${service.url}/openapi.json`)).json());
});
afterAll(() => stage.close());

const whatOf = (differences: Difference[], documented: boolean) =>
  differences
    .filter((one) => one.documented === documented)
    .map(({ what }) => what)
    .sort();

describe('the published API', () => {
  it('differs from what the contract documents only where a reason says so', () => {
    expect(whatOf(compare(contract, published), true)).toEqual(
      INTENDED.flatMap(({ documented = [] }) => documented).sort(),
    );
  });

  it('differs from what the contract infers only where a reason says so', () => {
    expect(whatOf(compare(contract, published), false)).toEqual(
      INTENDED.flatMap(({ inferred = [] }) => inferred).sort(),
    );
  });

  it('has most operations of the contract', () => {
    const ours = new Set(operationsOf(published).map(({ name }) => name));
    const both = operationsOf(contract).filter(({ name }) => ours.has(name));
    expect(both.length).toBeGreaterThan(65);
  });
});

describe('the comparison', () => {
  /** An API of one operation that takes and answers an object with one field. */
  const api = (field: JsonSchema | null, required: string[] = []) => {
    const schema = { type: 'object', required, properties: field === null ? {} : { field } };
    const content = { 'application/json': { schema } };
    const answer = { description: 'OK', content };
    return {
      paths: {
        '/things': {
          post: {
            tags: ['things'],
            parameters: field === null ? [] : [{ name: 'field', in: 'query', schema: field }],
            requestBody: { required: true, content },
            responses: field === null ? {} : { 200: answer },
          },
        },
      },
    };
  };
  const told = (asked: JsonSchema, ours: JsonSchema) =>
    compare(asked, ours).map(({ what }) => what.replace('POST /things ', ''));

  it('finds nothing between the contract and itself', () => {
    expect(compare(contract, contract)).toEqual([]);
  });

  it('tells what is missing', () => {
    const asked = api({ type: 'string' });
    const other = { paths: { '/others': { get: { tags: ['things'] } } } };
    expect(told(asked, other)).toEqual(['POST /things: is missing']);
    expect(told(asked, { paths: { '/others': { get: { tags: ['others'] } } } })).toEqual([]);
    expect(told(asked, api(null))).toEqual([
      'query field: is missing',
      'body field: is missing',
      '200: is missing',
    ]);
  });

  it('tells what is required of a caller, and what is no longer promised to one', () => {
    const may = api({ type: 'string' });
    const must = api({ type: 'string' }, ['field']);
    expect(told(may, must)).toEqual(['body field: is required']);
    expect(told(must, may)).toEqual(['body field: may be left out', '200 field: may be left out']);
  });

  it.each<[string, JsonSchema, JsonSchema, string[]]>([
    ['a type', { type: 'string' }, { type: 'boolean' }, ['body: refuses string', '200: may be boolean']],
    ['null in', { type: ['string', 'null'] }, { type: 'string' }, ['body: refuses null']],
    ['null out', { type: 'string' }, { anyOf: [{ type: 'string' }, { type: 'null' }] }, ['200: may be null']],
    ['a value less', { enum: ['a', 'b'] }, { enum: ['a'] }, ['body: refuses b']],
    ['a value more', { enum: ['a'] }, { enum: ['a', 'b'] }, ['body: may be b', '200: may be b']],
    [
      'a limit',
      { type: 'string', maxLength: 255 },
      { type: 'string', maxLength: 200 },
      ['body: maxLength 255 is 200'],
    ],
    ['a limit less', { type: 'integer', maximum: 9 }, { type: 'integer' }, ['body: maximum 9 is none']],
    ['a default', { type: 'integer', default: 5 }, { type: 'integer', default: 6 }, ['body: default 5 is 6']],
    ['a format', { type: 'string' }, { type: 'string', format: 'uuid' }, ['body: takes only uuid']],
    ['no format', { type: 'string', format: 'uuid' }, { type: 'string' }, ['200: is no uuid']],
    [
      'what lies deeper',
      { type: 'array', items: { type: 'object', properties: { deep: { type: 'string' } } } },
      { type: 'array', items: { type: 'object', properties: {} } },
      ['body: is missing', '200: is missing'],
    ],
  ])('tells %s', (_what, asked, ours, expected) => {
    const differences = told(api(asked), api(ours)).map((what) => what.replace(/ field(\[\]\.deep)?:/, ':'));
    expect(differences.filter((what) => !what.startsWith('query'))).toEqual(expected);
  });

  it('knows what was guessed', () => {
    const guessed = api({ type: 'string', 'x-inferred': true });
    expect(new Set(compare(guessed, api({ type: 'null' })).map(({ documented }) => documented))).toEqual(
      new Set([false]),
    );
  });
});
