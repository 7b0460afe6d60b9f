import { describe, expect, it } from 'vitest';
import type * as client from '../../src/client/events.ts';
import type * as runtime from '../../src/runtime/events.ts';

describe('the client’s words', () => {
  it('are those of the journal: the compiler takes each told value for the client’s type', () => {
    const data = (value: Omit<runtime.EventData, 'snapshot'>): Omit<client.EventData, 'snapshot'> => value;
    const message = (value: runtime.Message): client.Message => value;
    const approval = (value: runtime.Approval): client.Approval => value;
    const known = (type: runtime.EventType): client.EventType => type;
    const decision = (value: client.DecisionKind): runtime.Decision => value;
    expect([data, message, approval, known, decision]).toHaveLength(5);
  });
});
