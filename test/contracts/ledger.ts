/** What every effects ledger promises: an effect is intended once, settled once, and only under the turn's lease. */

import { describe, expect, it } from 'vitest';
import type { EffectCall } from '../../src/resources/turns/effects.ts';
import { providerKey } from '../../src/resources/turns/effects.ts';
import type { TurnPorts } from '../support/turn-ports.ts';
import { beginTurn, takeOver } from './turn-ports.ts';

const call: EffectCall = {
  toolCallId: 'call-1',
  tool: 'send_email',
  effectClass: 'send',
  argsHash: 'a'.repeat(64),
  approvalId: null,
};
const act = async () => ({ act: true }) as const;
const LOST = { code: 'LEASE_LOST' };
const FAULT = { code: 'MAIL_REFUSED', message: 'no', retryable: false } as const;

export function describeLedger(name: string, subject: () => TurnPorts): void {
  describe(`${name} as an effects ledger`, () => {
    it('does work of our own once, and answers it again', async () => {
      const { ledger, ...ports } = subject();
      const { turn } = await beginTurn({ ledger, ...ports });
      let times = 0;
      const work = async () => {
        times += 1;
        return { id: times };
      };
      expect(await ledger.inside(turn, call, work)).toEqual({ id: 1 });
      expect(await ledger.inside(turn, call, work)).toEqual({ id: 1 });
      expect(times).toBe(1);
      expect(await ledger.read(turn, 'call-1')).toMatchObject({ state: 'done', result: { id: 1 }, epoch: 1 });
      expect(await ledger.read(turn, 'call-2')).toBeNull();
    });

    it('keeps nothing of work that fails', async () => {
      const ports = subject();
      const { turn } = await beginTurn(ports);
      const work = () => Promise.reject(new TypeError('no'));
      await expect(ports.ledger.inside(turn, call, work)).rejects.toThrow('no');
      await expect(ports.ledger.intend(turn, call, work)).rejects.toThrow('no');
      expect(await ports.ledger.read(turn, 'call-1')).toBeNull();
    });

    it('intends once, settles once, and replays', async () => {
      const { ledger, ...ports } = subject();
      const { turn } = await beginTurn({ ledger, ...ports });
      expect(await ledger.intend(turn, call, act)).toEqual({ act: true });
      expect(await ledger.intend(turn, call, act)).toMatchObject({
        before: { state: 'intended', attempt: 1, epoch: 1, providerKey: providerKey(turn, call) },
      });
      expect(
        await ledger.settle(turn, 'call-1', { state: 'done', providerRef: 'ref' }, async () => 'sent'),
      ).toBe('sent');
      await ledger.settle(turn, 'call-1', { state: 'failed', error: FAULT }, async () => undefined);
      expect(await ledger.read(turn, 'call-1')).toMatchObject({
        state: 'done',
        providerRef: 'ref',
        result: 'sent',
        error: null,
      });
      await ledger.again(turn, 'call-1', null);
      expect(await ledger.read(turn, 'call-1')).toMatchObject({ state: 'done', attempt: 1 });
    });

    it('records at once where nothing outside has to be done', async () => {
      const ports = subject();
      const { turn } = await beginTurn(ports);
      expect(await ports.ledger.intend(turn, call, async () => ({ done: 'kept' }))).toEqual({ done: 'kept' });
      expect(await ports.ledger.read(turn, 'call-1')).toMatchObject({ state: 'done', result: 'kept' });
    });

    it('keeps an unknown outcome with its reason until another attempt is allowed', async () => {
      const { ledger, ...ports } = subject();
      const { turn } = await beginTurn({ ledger, ...ports });
      await ledger.intend(turn, call, act);
      await ledger.settle(turn, 'call-1', { state: 'unknown', error: FAULT }, async () => undefined);
      expect(await ledger.read(turn, 'call-1')).toMatchObject({ state: 'unknown', error: FAULT, attempt: 1 });
      const approvalId = crypto.randomUUID();
      await ledger.again(turn, 'call-1', approvalId);
      expect(await ledger.read(turn, 'call-1')).toMatchObject({
        state: 'intended',
        error: null,
        attempt: 2,
        approvalId,
      });
    });

    it('starts nothing in a turn that shall be cancelled, and settles what was begun', async () => {
      const { ledger, ...ports } = subject();
      const { turn } = await beginTurn({ ledger, ...ports });
      await ledger.intend(turn, call, act);
      await ports.conversations.cancel(ports.caller, turn.threadId);
      const other = { ...call, toolCallId: 'call-2' };
      const refused = { code: 'TURN_NOT_LIVE' };
      await expect(ledger.intend(turn, other, act)).rejects.toMatchObject(refused);
      await expect(ledger.inside(turn, other, async () => 1)).rejects.toMatchObject(refused);
      await ledger.settle(turn, 'call-1', { state: 'done' }, async () => 'sent');
      expect(await ledger.read(turn, 'call-1')).toMatchObject({ state: 'done' });
      expect(await ledger.read(turn, 'call-2')).toBeNull();
    });

    it('refuses whoever has lost the turn', async () => {
      const { ledger, ...ports } = subject();
      const { turn } = await beginTurn({ ledger, ...ports });
      await ledger.intend(turn, call, act);
      const { turn: taken } = await takeOver({ ledger, ...ports }, turn.turnId);
      await expect(ledger.inside(turn, call, async () => 1)).rejects.toMatchObject(LOST);
      await expect(ledger.intend(turn, call, act)).rejects.toMatchObject(LOST);
      await expect(ledger.again(turn, 'call-1', null)).rejects.toMatchObject(LOST);
      await expect(
        ledger.settle(turn, 'call-1', { state: 'done' }, async () => 'sent'),
      ).rejects.toMatchObject(LOST);
      expect(await ledger.intend(taken, call, act)).toMatchObject({
        before: { state: 'intended', epoch: 1 },
      });
    });
  });
}
