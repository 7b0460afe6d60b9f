/** Sends the mail that the card shows to whoever looks at it, and says where it went. */

import { useRef, useState } from 'react';
import { ClientError } from '../../../src/client/errors.ts';
import type { Approval } from '../../../src/client/events.ts';
import { faultOf } from '../../state/faults.ts';
import { newKey } from '../../state/page.ts';
import { Icon } from '../Icon.tsx';
import { useModel, useStore } from '../model.tsx';

export interface TestMailProps {
  /** As it is shown, with its edits. */
  approval: Approval;
  /** The arguments of the edit that is shown, if one is. */
  args: Record<string, unknown> | undefined;
  /** Which of its previews. */
  index: number;
}

interface Told {
  tone: 'good' | 'bad' | 'quiet';
  words: string;
}

export function TestMail({ approval, args, index }: TestMailProps) {
  const { client, session } = useModel();
  const user = useStore(session.store, (state) => state.user);
  const [sending, setSending] = useState(false);
  const [told, setTold] = useState<Told | null>(null);
  /** A repeat after a lost answer carries the same key. */
  const key = useRef(newKey());
  const { from, subject, body } = approval.preview[index] ?? {};
  if (from === undefined || subject === undefined || body === undefined) return null;
  if (user?.email === '') {
    return (
      <p className="test-mail quiet">
        No test can be sent to you: this sign-in names no email address (an API key has none).
      </p>
    );
  }

  async function send(): Promise<void> {
    if (sending) return;
    setSending(true);
    const { thread_id, approval_id, args_hash } = approval;
    try {
      const mail = await client.request<{ to: string; status: string; error: { message: string } | null }>(
        'POST',
        `/api/v1/agent/conversations/${thread_id}/approvals/${approval_id}/test-mail`,
        { preview_index: index, args_hash, args },
        { idempotencyKey: key.current },
      );
      key.current = newKey();
      setTold(
        mail.status === 'sent'
          ? { tone: 'good', words: `Sent to ${mail.to}.` }
          : mail.status === 'sandbox'
            ? { tone: 'good', words: `Kept in the outbox for ${mail.to}: this is the sandbox.` }
            : { tone: 'bad', words: mail.error?.message ?? 'It is not known whether it left.' },
      );
    } catch (error) {
      if (error instanceof ClientError) key.current = newKey();
      setTold({ tone: 'bad', words: faultOf(error).message });
    }
    setSending(false);
  }

  return (
    <p className="test-mail">
      <button type="button" className="button small" aria-disabled={sending} onClick={() => void send()}>
        {sending ? <span className="spinner" /> : <Icon name="send" />} Send a test to me
      </button>
      <span role="status" className={`outcome-${told?.tone ?? 'quiet'}`}>
        {told?.words}
      </span>
    </p>
  );
}
