/** The checkpointer under LangGraph: what it keeps, what it asks, and that a run cut off anywhere goes on right. */

import {
  Annotation,
  Command,
  END,
  INTERRUPT,
  interrupt,
  isInterrupted,
  Send,
  START,
  StateGraph,
} from '@langchain/langgraph';
import { type BaseCheckpointSaver, emptyCheckpoint } from '@langchain/langgraph-checkpoint';
import { describe, expect, it } from 'vitest';
import { type CheckpointStore, createMemoryCheckpointStore } from '../../src/engine/checkpoint-store.ts';
import { createCheckpointer } from '../../src/engine/checkpointer.ts';
import { describeCheckpointStore } from '../contracts/checkpoint-store.ts';
import { describeCheckpointer } from '../contracts/checkpointer.ts';

const memory = createMemoryCheckpointStore();
let turns = 0;
const startTurn = async () => `turn-${++turns}`;

describeCheckpointStore('memory', () => ({
  store: memory,
  startTurn,
  takeOver: async () => {},
  end: async () => {},
}));

describeCheckpointer('the checkpointer in memory', () => ({
  saver: createCheckpointer({ store: memory, lazy: false }),
  threadOf: async (name) => `workspace:${name}`,
  end: async () => {},
}));

interface Call {
  id: string;
  asks: boolean;
}

interface Message {
  role: 'user' | 'assistant' | 'tool';
  text: string;
}

/** What happened in all runs of a turn, and what people have decided. */
interface World {
  calls: Call[];
  deeds: string[];
  decided: Set<string>;
  /** Awaited before and after each deed. */
  point(): Promise<void>;
}

function createWorld(calls: Call[]): World {
  return { calls, deeds: [], decided: new Set(), point: async () => {} };
}

/** The shape of a chat graph: a model, and for each of its tool calls a graph of its own that may ask first. */
function compile({ calls, deeds, point }: World, checkpointer: BaseCheckpointSaver) {
  const deed = async (said: string) => {
    await point();
    deeds.push(said);
    await point();
  };
  const call = new StateGraph(Annotation.Root({ call: Annotation<Call>, result: Annotation<string> }))
    .addNode('gate', async (state) => {
      await point();
      interrupt({ approval_id: state.call.id });
      return {};
    })
    .addNode('execute', async (state) => {
      await deed(`execute ${state.call.id}`);
      return { result: `did ${state.call.id}` };
    })
    .addConditionalEdges(START, (state) => (state.call.asks ? 'gate' : 'execute'), ['gate', 'execute'])
    .addEdge('gate', 'execute')
    .addEdge('execute', END)
    .compile();
  const Messages = Annotation<Message[]>({ reducer: (all, more) => all.concat(more), default: () => [] });
  return new StateGraph(Annotation.Root({ messages: Messages }))
    .addNode('model', async ({ messages }) => {
      await deed(`model ${messages.map(({ text }) => text).join(', ')}`);
      const text = messages.length === 1 && calls.length > 0 ? 'calls' : 'answer';
      return { messages: [{ role: 'assistant' as const, text }] };
    })
    .addNode('call', async (given: Call, config) => {
      const { result } = await call.invoke({ call: given }, config);
      return { messages: [{ role: 'tool' as const, text: result }] };
    })
    .addEdge(START, 'model')
    .addConditionalEdges('model', ({ messages }) =>
      messages.at(-1)?.text === 'calls' ? calls.map((given) => new Send('call', given)) : END,
    )
    .addEdge('call', 'model')
    .compile({ checkpointer });
}

/** Runs one leg of a turn, as another process would: with a saver and a graph of its own. Tells what it waits for. */
async function runLeg(
  world: World,
  store: CheckpointStore,
  turnId: string,
  epoch: number,
): Promise<string[]> {
  const fresh = epoch === 1;
  const saver = createCheckpointer({ store, lazy: true });
  const graph = compile(world, saver);
  const config = {
    durability: 'sync' as const,
    configurable: {
      thread_id: `workspace:${turnId}`,
      lease_epoch: epoch,
      fresh,
      __pregel_strict_resume: true,
    },
  };
  const input = { messages: [{ role: 'user' as const, text: 'hello' }] };

  async function go() {
    const { tasks, createdAt } = fresh ? { tasks: [], createdAt: undefined } : await graph.getState(config);
    if (createdAt === undefined) return graph.invoke(input, config);
    const answers = tasks
      .filter(({ result }) => result === undefined)
      .flatMap(({ interrupts }) => interrupts)
      .filter(({ value }) => world.decided.has(value.approval_id))
      .map(({ id }) => [id ?? '', true]);
    const resume = Object.fromEntries(answers);
    return graph.invoke(answers.length > 0 ? new Command({ resume }) : null, config);
  }

  const outcome: unknown = await go();
  if (!isInterrupted<{ approval_id: string }>(outcome)) return [];
  return outcome[INTERRUPT].map(({ value }) => value?.approval_id ?? '');
}

/** A store in memory that says what it was asked. */
function createCountingStore(): { store: CheckpointStore; asked: string[] } {
  const store = createMemoryCheckpointStore();
  const asked: string[] = [];
  const counted = <Needs extends unknown[], Result>(name: string, statement: (...needs: Needs) => Result) => {
    return (...needs: Needs): Result => {
      asked.push(name);
      return statement(...needs);
    };
  };
  return {
    asked,
    store: {
      read: counted('read', store.read),
      write: counted('write', store.write),
      addWrites: counted('addWrites', store.addWrites),
      remove: counted('remove', store.remove),
    },
  };
}

const asking = (id: string): Call => ({ id, asks: true });
const free = (id: string): Call => ({ id, asks: false });

describe('a turn on the lazy checkpointer', () => {
  it('sends nothing where no tool is called', async () => {
    const { store, asked } = createCountingStore();
    expect(await runLeg(createWorld([]), store, 'turn', 1)).toEqual([]);
    expect(asked).toEqual([]);
  });

  it('sends two statements for a tool, and no more for three at once', async () => {
    for (const calls of [[free('a')], [free('a'), free('b'), free('c')]]) {
      const { store, asked } = createCountingStore();
      await runLeg(createWorld(calls), store, 'turn', 1);
      expect(asked).toEqual(['write', 'write']);
    }
  });

  it('sends three statements until it waits for a decision, and three after it', async () => {
    const { store, asked } = createCountingStore();
    const world = createWorld([asking('a')]);
    expect(await runLeg(world, store, 'turn', 1)).toEqual(['a']);
    expect(asked.splice(0)).toEqual(['write', 'write', 'addWrites']);

    world.decided.add('a');
    expect(await runLeg(world, store, 'turn', 2)).toEqual([]);
    // The first read is for getState, which a caller who keeps the interrupt's id does without.
    expect(asked).toEqual(['read', 'read', 'write', 'write']);
  });

  it('sends nothing where a leg only asks again what was asked before it', async () => {
    const { store, asked } = createCountingStore();
    const world = createWorld([asking('a'), asking('b')]);
    expect(await runLeg(world, store, 'turn', 1)).toEqual(['a', 'b']);
    asked.length = 0;
    expect(await runLeg(world, store, 'turn', 2)).toEqual(['a', 'b']);
    expect(asked).toEqual(['read', 'read']);
  });

  it('runs a free call at once, each decided call when it is decided, and the model when all are answered', async () => {
    const world = createWorld([asking('a'), asking('b'), free('c')]);
    const store = createMemoryCheckpointStore();
    expect(await runLeg(world, store, 'turn', 1)).toEqual(['a', 'b']);
    expect(world.deeds.splice(0)).toEqual(['model hello', 'execute c']);

    expect(await runLeg(world, store, 'turn', 2)).toEqual(['a', 'b']);
    expect(world.deeds.splice(0)).toEqual([]);

    world.decided.add('b');
    expect(await runLeg(world, store, 'turn', 3)).toEqual(['a']);
    expect(world.deeds.splice(0)).toEqual(['execute b']);

    world.decided.add('a');
    expect(await runLeg(world, store, 'turn', 4)).toEqual([]);
    expect(world.deeds).toEqual(['execute a', 'model hello, calls, did a, did b, did c']);
  });

  it('goes on right from a stop at any point', async () => {
    const calls = [asking('a'), asking('b'), free('c')];
    for (let stop = 1; ; stop++) {
      const world = createWorld(calls);
      const stopped = await runTurnStoppedAt(stop, world);
      const models = world.deeds.filter((said) => said.startsWith('model'));
      const first = 'model hello';
      const last = 'model hello, calls, did a, did b, did c';
      expect(new Set(models), `stopped at ${stop}`).toEqual(new Set([first, last]));
      expect(models.length, `stopped at ${stop}`).toBeLessThanOrEqual(stopped ? 3 : 2);
      for (const { id } of calls) {
        const times = world.deeds.filter((said) => said === `execute ${id}`).length;
        expect(times, `${id}, stopped at ${stop}`).toBeGreaterThanOrEqual(1);
        expect(times, `${id}, stopped at ${stop}`).toBeLessThanOrEqual(stopped ? 2 : 1);
      }
      if (!stopped) {
        expect(stop, 'points there were').toBeGreaterThan(30);
        return;
      }
    }
  });
});

/**
 * Runs a turn to its end, deciding one approval after each leg. At point number `stop`, before or after a statement
 * or a deed, its process stops for ever; the next leg takes over. Tells whether the point was reached.
 */
async function runTurnStoppedAt(stop: number, world: World): Promise<boolean> {
  const store = createMemoryCheckpointStore();
  let passed = 0;
  for (let epoch = 1; epoch < 10; epoch++) {
    const died = Promise.withResolvers<'died'>();
    let dead = false;
    const point = async () => {
      if (!dead && ++passed === stop) {
        dead = true;
        died.resolve('died');
      }
      if (dead) await new Promise(() => {});
    };
    const between = async <Result>(statement: () => Promise<Result>): Promise<Result> => {
      await point();
      const result = await statement();
      await point();
      return result;
    };
    const mortal: CheckpointStore = {
      read: (...needs) => between(() => store.read(...needs)),
      write: (...needs) => between(() => store.write(...needs)),
      addWrites: (...needs) => between(() => store.addWrites(...needs)),
      remove: (...needs) => between(() => store.remove(...needs)),
    };
    const waiting = await Promise.race([runLeg({ ...world, point }, mortal, 'turn', epoch), died.promise]);
    // Half of the lost runs find a decision that came while nobody ran the turn.
    if (waiting === 'died' && stop % 2 === 0) world.decided.add('a');
    if (waiting === 'died') continue;
    if (waiting.length === 0) return passed >= stop;
    world.decided.add(waiting.at(-1) ?? '');
  }
  throw new Error(`The turn stopped at ${stop} came to no end.`);
}

describe('the checkpointer', () => {
  const metadata = { source: 'loop' as const, step: 1, parents: {} };
  const under = (turnId: string, more: object = {}) => ({
    configurable: { thread_id: `workspace:${turnId}`, lease_epoch: 1, ...more },
  });

  it('asks nothing for a fresh turn until it has written to it', async () => {
    const { store, asked } = createCountingStore();
    const saver = createCheckpointer({ store, lazy: false });
    const config = under('turn', { fresh: true });
    expect(await saver.getTuple(config)).toBeUndefined();
    expect(await saver.getTuple(under('turn', { fresh: true, checkpoint_ns: 'call:1' }))).toBeUndefined();
    expect(asked).toEqual([]);
    const checkpoint = emptyCheckpoint();
    await saver.put(config, checkpoint, metadata, {});
    expect((await saver.getTuple(config))?.checkpoint).toEqual(checkpoint);
    expect(asked).toEqual(['write', 'read']);
  });

  it('reads all namespaces of a turn at once, and again those it has written to', async () => {
    const { store, asked } = createCountingStore();
    const earlier = createCheckpointer({ store, lazy: false });
    const nested = under('turn', { checkpoint_ns: 'call:1' });
    const first = emptyCheckpoint();
    await earlier.put(under('turn'), emptyCheckpoint(), metadata, {});
    await earlier.put(nested, first, metadata, {});
    asked.length = 0;

    const saver = createCheckpointer({ store, lazy: false });
    expect(await saver.getTuple(under('turn'))).toBeDefined();
    expect((await saver.getTuple(nested))?.checkpoint).toEqual(first);
    expect(await saver.getTuple(under('turn', { checkpoint_ns: 'call:2' }))).toBeUndefined();
    expect(asked.splice(0)).toEqual(['read']);

    const second = emptyCheckpoint();
    await saver.put(nested, second, metadata, {});
    expect((await saver.getTuple(nested))?.checkpoint).toEqual(second);
    expect(asked).toEqual(['write', 'read']);
  });

  it('gives writes in the order of path, task and index, the first of a place, the last interrupt', async () => {
    const saver = createCheckpointer({ store: createMemoryCheckpointStore(), lazy: false });
    const config = await saver.put(under('turn'), emptyCheckpoint(), metadata, {});
    const stored = { configurable: { ...config.configurable, lease_epoch: 1 } };
    await saver.putWrites(stored, [['late', 1]], 'b', '~2');
    await saver.putWrites(stored, [['__interrupt__', 'old']], 'c', '~1');
    await saver.putWrites(
      stored,
      [
        ['x', 1],
        ['y', undefined],
      ],
      'a',
      '~1',
    );
    await saver.putWrites(
      stored,
      [
        ['x', 2],
        ['y', 2],
      ],
      'a',
      '~1',
    );
    await saver.putWrites(stored, [['__interrupt__', 'new']], 'c', '~1');
    expect((await saver.getTuple(under('turn')))?.pendingWrites).toEqual([
      ['a', 'x', 1],
      ['a', 'y', undefined],
      ['c', '__interrupt__', 'new'],
      ['b', 'late', 1],
    ]);
  });

  it('does not add an interrupt that is there already, whatever the order of its keys', async () => {
    const { store, asked } = createCountingStore();
    const earlier = createCheckpointer({ store, lazy: false });
    const { configurable } = await earlier.put(under('turn'), emptyCheckpoint(), metadata, {});
    const stored = { configurable: { ...configurable, lease_epoch: 1 } };
    await earlier.putWrites(stored, [['__interrupt__', [{ id: '1', value: { tool: 't', note: 'n' } }]]], 'a');

    const saver = createCheckpointer({ store, lazy: false });
    await saver.getTuple(under('turn'));
    asked.length = 0;
    await saver.putWrites(stored, [['__interrupt__', [{ value: { note: 'n', tool: 't' }, id: '1' }]]], 'a');
    expect(asked).toEqual([]);
    await saver.putWrites(stored, [['__interrupt__', [{ id: '2' }]]], 'a');
    await saver.putWrites(stored, [['__interrupt__', [{ id: '1' }]]], 'a');
    expect(asked).toEqual(['addWrites', 'addWrites']);
  });

  it('lists the latest checkpoint of each namespace, and no other', async () => {
    const saver = createCheckpointer({ store: createMemoryCheckpointStore(), lazy: false });
    const list = async (...needs: Parameters<typeof saver.list>) => {
      const found: (string | undefined)[] = [];
      for await (const { config } of saver.list(...needs)) found.push(config.configurable?.checkpoint_ns);
      return found.sort();
    };
    const older = await saver.put(under('turn'), emptyCheckpoint(), metadata, {});
    const latest = emptyCheckpoint();
    await saver.put(under('turn'), latest, { ...metadata, step: 2 }, {});
    await saver.put(under('turn', { checkpoint_ns: 'call:1' }), emptyCheckpoint(), metadata, {});
    const everywhere = { configurable: { thread_id: 'workspace:turn' } };
    expect(await list(everywhere)).toEqual(['', 'call:1']);
    expect(await list(everywhere, { limit: 1 })).toHaveLength(1);
    expect(await list(everywhere, { filter: { step: 2 } })).toEqual(['']);
    expect(await list(under('turn', { checkpoint_ns: '' }))).toEqual(['']);
    expect(await list(older)).toEqual([]);
    expect(
      await list(under('turn', { checkpoint_ns: '' }), {
        before: under('turn', { checkpoint_id: latest.id }),
      }),
    ).toEqual([]);
    expect(await list(under('another'))).toEqual([]);
  });

  it('says what its config lacks', async () => {
    const saver = createCheckpointer({ store: createMemoryCheckpointStore(), lazy: true });
    const thread = { configurable: { thread_id: 'workspace:turn' } };
    await expect(saver.put(thread, emptyCheckpoint(), metadata, {})).rejects.toThrow('lease_epoch');
    await expect(saver.put({}, emptyCheckpoint(), metadata, {})).rejects.toThrow('thread_id');
    await expect(saver.putWrites(under('turn'), [], 'task')).rejects.toThrow('checkpoint_id');
  });

  it('ends a run with LEASE_LOST once another process has the turn', async () => {
    const store = createMemoryCheckpointStore();
    const world = createWorld([asking('a')]);
    await runLeg(world, store, 'turn', 1);
    const taken = await store.read('turn');
    for (const row of taken) await store.write('turn', 3, row);
    world.decided.add('a');
    await expect(runLeg(world, store, 'turn', 2)).rejects.toMatchObject({ code: 'LEASE_LOST' });
    expect(await runLeg(world, store, 'turn', 3)).toEqual([]);
  });
});
