/** Decisions on their way: what was clicked, what the service said, and cards that somebody else decided first. */

import type { Client } from '../../src/client/client.ts';
import { ClientError } from '../../src/client/errors.ts';
import type { Approval, Decision } from '../../src/client/events.ts';
import { type Fault, factOf, faultOf } from './faults.ts';
import { createStore, type Soon, type Store } from './store.ts';

/** What is known here of one card beyond what its conversation tells. */
export interface DecisionState {
  /** `sending`: asked for; `recorded`: the service has it; `lost`: another decision stands, or the card has expired. */
  phase: 'sending' | 'recorded' | 'lost' | 'failed';
  decision: Decision | null;
  /** The card as the service gave it last. */
  approval: Approval | null;
  fault: Fault | null;
}

export interface DecisionsState {
  readonly byId: Readonly<Record<string, DecisionState>>;
}

export interface Decisions {
  store: Store<DecisionsState>;
  /** Sends a decision; a second one for a card that is being decided does nothing. */
  decide(approval: Approval, decision: Decision): Promise<void>;
  /** Sends several decisions on cards of one conversation as one request: all are recorded or none. */
  decideAll(
    threadId: string,
    decisions: readonly { approval: Approval; decision: Decision }[],
  ): Promise<void>;
}

export interface DecisionsNeeds {
  client: Client;
  soon: Soon;
  newKey(): string;
  /** A conversation has more to tell: a decision was recorded, or its cards are not what was thought. */
  onChange(threadId: string): void;
}

export function createDecisions({ client, soon, newKey, onChange }: DecisionsNeeds): Decisions {
  const store = createStore<DecisionsState>({ byId: {} }, soon);
  /** A repeat after a lost answer carries the same key. */
  const keys = new Map<string, string>();

  function put(approvalId: string, state: DecisionState): void {
    store.set(({ byId }) => ({ byId: { ...byId, [approvalId]: state } }));
  }

  function isBusy(approval: Approval): boolean {
    const phase = store.get().byId[approval.approval_id]?.phase;
    return phase === 'sending' || phase === 'recorded' || phase === 'lost';
  }

  /** The key under which exactly this is sent, now and when it is tried again. */
  function keyOf(what: unknown): string {
    const text = JSON.stringify(what);
    const key = keys.get(text) ?? newKey();
    keys.set(text, key);
    return key;
  }

  function failed(approval: Approval, decision: Decision, error: unknown): void {
    const standing = factOf<Approval>(error, 'winner') ?? factOf<Approval>(error, 'approval');
    const ours = standing === null || standing.approval_id === approval.approval_id;
    if (standing !== null && ours) {
      put(approval.approval_id, { phase: 'lost', decision, approval: standing, fault: faultOf(error) });
    } else {
      put(approval.approval_id, { phase: 'failed', decision, approval: null, fault: faultOf(error) });
    }
    // The cards may not be what they were taken for.
    if (error instanceof ClientError && error.status < 500) onChange(approval.thread_id);
  }

  return {
    store,

    async decide(approval, decision) {
      if (isBusy(approval)) return;
      const { approval_id, thread_id } = approval;
      put(approval_id, { phase: 'sending', decision, approval: null, fault: null });
      try {
        const answer = (await client.decide(thread_id, approval_id, decision, {
          idempotencyKey: keyOf([approval_id, decision]),
        })) as { approval?: Approval } | null;
        put(approval_id, { phase: 'recorded', decision, approval: answer?.approval ?? null, fault: null });
        onChange(thread_id);
      } catch (error) {
        failed(approval, decision, error);
      }
    },

    async decideAll(threadId, decisions) {
      const open = decisions.filter(({ approval }) => !isBusy(approval));
      if (open.length === 0) return;
      for (const { approval, decision } of open) {
        put(approval.approval_id, { phase: 'sending', decision, approval: null, fault: null });
      }
      const resume = {
        decisions: open.map(({ approval, decision }) => ({ approval_id: approval.approval_id, ...decision })),
      };
      try {
        await client.request(
          'POST',
          '/api/v1/agent/chat',
          { thread_id: threadId, resume },
          { idempotencyKey: keyOf(resume), headers: { Prefer: 'respond-async' } },
        );
        for (const { approval, decision } of open) {
          put(approval.approval_id, { phase: 'recorded', decision, approval: null, fault: null });
        }
        onChange(threadId);
      } catch (error) {
        for (const { approval, decision } of open) failed(approval, decision, error);
      }
    },
  };
}

/** The card as it stands: what its conversation tells, unless something newer is known here. */
export function standing(approval: Approval, state: DecisionState | undefined): Approval {
  if (approval.status !== 'pending' || state?.approval == null) return approval;
  return state.approval.status === 'pending' ? approval : state.approval;
}
