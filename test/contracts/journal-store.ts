/** What every journal store promises: rows under the run's lease, once each, and read back exactly. */

import { describe, expect, it } from 'vitest';
import type { NewEvent } from '../../src/runtime/events.ts';
import { cutEvent } from '../../src/runtime/journal.ts';
import type { LeasedTurn, StoredEvent } from '../../src/runtime/ports.ts';
import type { TurnPorts } from '../support/turn-ports.ts';
import { batchOf, beginTurn, journalOf, notice, numbered, settlementOf, takeOver } from './turn-ports.ts';

/** A row that stands for as many numbers as there are pieces. */
function merged(turn: LeasedTurn, pieces: readonly string[]): StoredEvent {
  const event: NewEvent = {
    type: 'text-delta',
    data: { message_id: turn.messageId, call: 1, part: 0, delta: pieces.join('') },
  };
  const row = numbered(turn, event);
  turn.nextSeq += pieces.length - 1;
  let length = 0;
  const marks = pieces.map((piece) => {
    length += piece.length;
    return length;
  });
  return { ...row, seq: row.seqFrom + pieces.length - 1, marks };
}

export function describeJournalStore(name: string, subject: () => TurnPorts): void {
  describe(`${name} as a journal store`, () => {
    it('gives back what it was given, above one number and below another, ascending', async () => {
      const ports = subject();
      const { turn, events } = await beginTurn(ports);
      const rows = ['a', 'b', 'c', 'd'].map((words) => numbered(turn, notice(words)));
      expect(await ports.journal.append([batchOf(turn, rows)])).toEqual(new Set());
      expect(await journalOf(ports, turn.threadId)).toEqual([...events, ...rows]);
      const scope = { workspaceId: ports.caller.workspaceId, threadId: turn.threadId };
      const [a, b, c, d] = rows.map(({ seq }) => seq) as [number, number, number, number];
      expect((await ports.journal.read(scope, a, d, 10)).map(({ seq }) => seq)).toEqual([b, c]);
      expect((await ports.journal.read(scope, a, null, 2)).map(({ seq }) => seq)).toEqual([b, c]);
      expect(await ports.journal.read(scope, d, null, 10)).toEqual([]);
      expect(await ports.journal.read({ ...scope, workspaceId: crypto.randomUUID() }, 0, null, 10)).toEqual(
        [],
      );
    });

    it('keeps merged deltas whole, so that a reader inside gets the exact suffix', async () => {
      const ports = subject();
      const { turn } = await beginTurn(ports);
      const pieces = ['Do', 'n', 'audampf ', '𝄞', 'schiff'];
      const row = merged(turn, pieces);
      await ports.journal.append([batchOf(turn, [row])]);
      const scope = { workspaceId: ports.caller.workspaceId, threadId: turn.threadId };
      for (const index of pieces.keys()) {
        const cursor = row.seqFrom - 1 + index;
        const [found] = await ports.journal.read(scope, cursor, null, 10);
        expect(found).toEqual(row);
        expect(found && cutEvent(found, cursor).data).toMatchObject({ delta: pieces.slice(index).join('') });
      }
      expect(await ports.journal.read(scope, row.seq, null, 10)).toEqual([]);
    });

    it('does no harm by storing a row again', async () => {
      const ports = subject();
      const { turn, events } = await beginTurn(ports);
      const rows = [numbered(turn, notice('once'))];
      await ports.journal.append([batchOf(turn, rows)]);
      await ports.journal.append([batchOf(turn, [...rows, numbered(turn, notice('twice'))])]);
      expect((await journalOf(ports, turn.threadId)).map(({ seq }) => seq)).toEqual(
        [...events, ...rows, { seq: turn.nextSeq - 1 }].map(({ seq }) => seq),
      );
    });

    it('refuses whoever has lost the turn, and stores the others’ rows with it', async () => {
      const ports = subject();
      const [lost, ended, live] = [await beginTurn(ports), await beginTurn(ports), await beginTurn(ports)];
      const { turn: taken } = await takeOver(ports, lost.turn.turnId);
      await ports.turns.settle(ended.turn, settlementOf(ended.turn, 'completed'));
      const batches = [lost.turn, ended.turn, live.turn].map((turn) =>
        batchOf(turn, [numbered(turn, notice('late'))]),
      );
      expect(await ports.journal.append(batches)).toEqual(new Set(batches.slice(0, 2)));
      const lastOf = async (threadId: string) => (await journalOf(ports, threadId)).at(-1)?.event.type;
      expect(await lastOf(lost.turn.threadId)).toBe('run-start');
      expect(await lastOf(ended.turn.threadId)).toBe('run-end');
      expect(await lastOf(live.turn.threadId)).toBe('notice');
      // A process may hold a turn that it took over from itself: both come in one statement.
      const both = [batchOf(lost.turn, [numbered(lost.turn, notice('old'))])];
      both.push(batchOf(taken, [numbered(taken, notice('new'))]));
      expect(await ports.journal.append(both)).toEqual(new Set(both.slice(0, 1)));
      expect((await journalOf(ports, lost.turn.threadId)).at(-1)?.event).toEqual(notice('new'));
    });

    it('takes characters that a jsonb column refuses', async () => {
      const ports = subject();
      const { turn } = await beginTurn(ports);
      await ports.journal.append([batchOf(turn, [numbered(turn, notice('nul \0, half \ud83d, whole 😀'))])]);
      expect((await journalOf(ports, turn.threadId)).at(-1)?.event).toEqual(
        notice('nul \ufffd, half \ufffd, whole 😀'),
      );
    });
  });
}
