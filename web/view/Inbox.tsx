/** All approvals of the workspace: those that wait, to be decided here, and those that were decided. */

import { useEffect, useState } from 'react';
import type { Approval } from '../../src/client/events.ts';
import { expiryOf, nextOf } from '../logic/card.ts';
import { absolute, relative } from '../logic/days.ts';
import { standing } from '../state/decisions.ts';
import { threadPath } from '../state/router.ts';
import { ApprovalCard } from './approval/ApprovalCard.tsx';
import { StatusTag } from './approval/StatusTag.tsx';
import { Banner, Signs } from './Banner.tsx';
import { Icon } from './Icon.tsx';
import { Link } from './Link.tsx';
import { ListButton } from './ListButton.tsx';
import { useModel, useNow, useStore } from './model.tsx';

export function InboxPage({ openList }: { openList(): void }) {
  const model = useModel();
  const { waiting, decided, cursor, failed } = useStore(model.inbox.store, (state) => state);
  const [tab, setTab] = useState<'waiting' | 'decided'>('waiting');
  /** Cards that were open when this was opened stay until it is left, so that one sees what came of them. */
  const [kept, setKept] = useState<readonly Approval[]>([]);
  const linked = useStore(model.router.store, (state) => state.approvalId);

  useEffect(() => {
    void model.inbox.load();
  }, [model]);
  useEffect(() => {
    if (waiting === null) return;
    setKept((before) => {
      const known = new Map(before.map((approval) => [approval.approval_id, approval]));
      const fresh = waiting.filter((approval) => !known.has(approval.approval_id));
      return fresh.length === 0 ? before : [...fresh, ...before];
    });
  }, [waiting]);
  useEffect(() => {
    if (tab === 'decided') void model.inbox.loadDecided(true);
  }, [tab, model]);

  const count = waiting?.length ?? 0;
  return (
    <main className="chat inbox" data-focus="h1">
      <header className="chat-head">
        <ListButton open={openList} />
        <h1 tabIndex={-1}>Approvals</h1>
        <Signs />
      </header>
      <Banner />
      <div className="messages">
        <div className="messages-inner">
          <div className="tabs">
            <button type="button" aria-pressed={tab === 'waiting'} onClick={() => setTab('waiting')}>
              Waiting{count > 0 ? ` (${count})` : ''}
            </button>
            <button type="button" aria-pressed={tab === 'decided'} onClick={() => setTab('decided')}>
              Decided
            </button>
          </div>
          {failed ? (
            <p className="card-fault" role="alert">
              <Icon name="warning" /> The approvals could not be read.
              <button type="button" className="button small" onClick={() => void model.inbox.load()}>
                Try again
              </button>
            </p>
          ) : null}
          {tab === 'waiting' ? (
            <Waiting approvals={kept} pending={waiting} linked={linked} />
          ) : (
            <>
              {decided === null ? (
                <p className="loading">
                  <span className="spinner" /> Reading…
                </p>
              ) : decided.length === 0 ? (
                <p className="quiet nothing">Nothing was decided yet.</p>
              ) : (
                decided.map((approval) => (
                  <Fold key={approval.approval_id} approval={approval} open={false} />
                ))
              )}
              {cursor === null ? null : (
                <p className="earlier">
                  <button
                    type="button"
                    className="button small"
                    onClick={() => void model.inbox.loadDecided(false)}
                  >
                    Show more
                  </button>
                </p>
              )}
            </>
          )}
        </div>
      </div>
    </main>
  );
}

function Waiting({
  approvals,
  pending,
  linked,
}: {
  approvals: readonly Approval[];
  pending: readonly Approval[] | null;
  linked: string | null;
}) {
  if (pending === null) {
    return (
      <p className="loading">
        <span className="spinner" /> Reading…
      </p>
    );
  }
  if (approvals.length === 0) {
    return (
      <div className="all-done">
        <Icon name="check" />
        <h2>Nothing waits for you</h2>
        <p>When the agent wants to send, spend or launch something, it asks here and in its conversation.</p>
      </div>
    );
  }
  const waits = new Set(pending.map((approval) => approval.approval_id));
  return approvals.map((approval, place) => (
    <Fold
      key={approval.approval_id}
      approval={approval}
      gone={!waits.has(approval.approval_id)}
      open={linked === null ? place === 0 : approval.approval_id === linked}
    />
  ));
}

/** A line that opens to the card. */
function Fold({ approval: told, open, gone = false }: { approval: Approval; open: boolean; gone?: boolean }) {
  const model = useModel();
  const now = useNow(30_000);
  const { waiting, decided } = useStore(model.inbox.store, (inbox) => inbox);
  const all = [...(waiting ?? []), ...(decided ?? [])];
  const state = useStore(model.decisions.store, (all) => all.byId[told.approval_id]);
  const [fetched, setFetched] = useState<Approval | null>(null);
  const approval = fetched ?? standing(told, state);
  const [worst] = approval.warnings;
  const ended = approval.status !== 'pending' || state?.phase === 'recorded';

  // Decided elsewhere: the list of those that wait does not hold it any more, so its end is read for itself.
  useEffect(() => {
    if (!gone) return;
    let left = false;
    void readDecided(model.client, told.approval_id).then((found) => {
      if (!left && found !== null) setFetched(found);
    });
    return () => {
      left = true;
    };
  }, [gone, model, told.approval_id]);

  return (
    <details className="fold" open={open}>
      <summary>
        <span className={`fold-dot ${ended ? 'ended' : expiryOf(approval, now)}`} />
        <span className="fold-title">{approval.title}</span>
        {ended ? (
          <StatusTag approval={approval} />
        ) : (
          <span className="fold-check">{worst?.message ?? ''}</span>
        )}
        <time className="quiet" dateTime={approval.created_at} title={absolute(approval.created_at)}>
          {relative(approval.decided_at ?? approval.created_at, now)}
        </time>
        <span className="fold-chevron">
          <Icon name="down" />
        </span>
      </summary>
      <ApprovalCard
        approval={approval}
        call={undefined}
        next={nextOf(approval, all)}
        aside={
          <Link className="approval-link" href={threadPath(approval.thread_id, approval.approval_id)}>
            Open conversation
          </Link>
        }
      />
    </details>
  );
}

async function readDecided(
  client: ReturnType<typeof useModel>['client'],
  approvalId: string,
): Promise<Approval | null> {
  try {
    const { approvals } = await client.request<{ approvals: Approval[] }>(
      'GET',
      '/api/v1/agent/approvals',
      undefined,
      {
        query: { status: 'all', limit: 100 },
      },
    );
    return approvals.find((approval) => approval.approval_id === approvalId) ?? null;
  } catch {
    return null;
  }
}
