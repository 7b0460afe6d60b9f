/** Who asks, for whom, and the message that led here. */

import type { Approval } from '../../../src/client/events.ts';
import { turnPath } from '../../state/router.ts';
import { Link } from '../Link.tsx';
import { useModel, useStore } from '../model.tsx';
import { showTurn } from '../turn-link.ts';

export function Asked({ approval }: { approval: Approval }) {
  const { session } = useModel();
  const me = useStore(session.store, (state) => state.user?.userId);
  const { asked_for: asked, thread_id, turn_id } = approval;
  if (asked === undefined) return null;
  const mine = asked.user_id === me;
  return (
    <p className="asked">
      {asked.kind === 'mcp' ? 'An MCP client' : 'The agent'}, for{' '}
      {mine ? 'you' : (asked.email ?? asked.user_id)}
      {/* A conversation is its user's alone. */}
      {mine ? (
        <>
          {' · '}
          <Link href={turnPath(thread_id, turn_id)} onGo={() => showTurn(turn_id)}>
            See the message that led here
          </Link>
        </>
      ) : null}
    </p>
  );
}
