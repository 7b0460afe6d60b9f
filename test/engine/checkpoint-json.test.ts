/** What goes into a checkpoint and what comes out of it. */

import { AIMessage } from '@langchain/core/messages';
import { Send } from '@langchain/langgraph';
import { describe, expect, it } from 'vitest';
import { plainSerializer, toJson } from '../../src/engine/checkpoint-json.ts';

async function roundTrip(value: unknown): Promise<unknown> {
  const [type, data] = await plainSerializer.dumpsTyped(value);
  return plainSerializer.loadsTyped(type, data);
}

describe('the plain serializer', () => {
  it.each([
    ['a string', 'grüße 😀'],
    ['null', null],
    ['undefined', undefined],
    ['an empty string', ''],
    ['nested data', { messages: [{ role: 'user', content: 'x', parts: [1, true, null, { a: [] }] }] }],
  ])('gives back %s as it was', async (_, value) => {
    expect(await roundTrip(value)).toEqual(value);
  });

  it('writes a Send as data from which LangGraph makes one again', async () => {
    const sent = { node: 'call', args: { id: 'a', list: [1] } };
    expect(await roundTrip([new Send(sent.node, sent.args)])).toEqual([expect.objectContaining(sent)]);
  });

  it('makes no object of a record that names a class', async () => {
    const records = [
      {
        lc: 1,
        type: 'constructor',
        id: ['langchain_core', 'messages', 'AIMessage'],
        kwargs: { content: 'x' },
      },
      { lc: 2, type: 'constructor', id: ['Set'], args: [[1]] },
      { lc: 2, type: 'undefined' },
    ];
    expect(await roundTrip(records)).toEqual(records);
    expect(await roundTrip(new AIMessage('x'))).not.toBeInstanceOf(AIMessage);
  });

  it('refuses a type that it never writes', async () => {
    await expect(plainSerializer.loadsTyped('bytes', '')).rejects.toThrow('unknown type bytes');
  });
});

describe('the JSON of a checkpoint', () => {
  it('replaces what jsonb refuses and leaves every other character', () => {
    const value = {
      'key\0': 'a\0b',
      half: '\udead and \ud83d',
      whole: '😀',
      text: '\\u0000 \\ud83d',
      control: '\u0001\n',
    };
    expect(JSON.parse(toJson(value))).toEqual({
      'key\ufffd': 'a\ufffdb',
      half: '\ufffd and \ufffd',
      whole: '😀',
      text: '\\u0000 \\ud83d',
      control: '\u0001\n',
    });
  });
});
