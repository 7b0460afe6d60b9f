/** The left column: a new chat, search, what waits for approval, and the conversations by day. */

import { useState } from 'react';
import type { ConversationSummary } from '../../src/client/events.ts';
import { byDay } from '../logic/days.ts';
import { changedAt } from '../state/conversations.ts';
import { threadPath } from '../state/router.ts';
import { Icon, Mark } from './Icon.tsx';
import { Link } from './Link.tsx';
import { useModel, useNow, useStore, useSurroundings } from './model.tsx';
import { PageIcon } from './PageIcon.tsx';
import { ThreadMenu } from './ThreadMenu.tsx';

export function Sidebar({ close }: { close(): void }) {
  const model = useModel();
  const list = useStore(model.conversations.store, (state) => state);
  const place = useStore(model.router.store, (state) => state.place);
  const pending = useStore(model.inbox.store, (state) => state.pending);
  const credits = useStore(model.store, (state) => state.credits);
  const user = useStore(model.session.store, (state) => state.user);
  const now = useNow(60_000);
  const current = place.at === 'chat' ? place.threadId : null;
  return (
    <nav className="sidebar" aria-label="Conversations">
      <div className="sidebar-head">
        <Mark />
        <span className="brand">Overture</span>
        <button type="button" className="icon-button close-list" aria-label="Close the list" onClick={close}>
          <Icon name="close" />
        </button>
      </div>
      <div className="sidebar-acts">
        <Link className="button new-chat" href="/" onGo={close}>
          <Icon name="plus" /> New chat
        </Link>
        <Link
          className={place.at === 'approvals' ? 'inbox-link current' : 'inbox-link'}
          href="/approvals"
          current={place.at === 'approvals'}
          onGo={close}
        >
          <Icon name="inbox" />
          <span>Approvals</span>
          {pending > 0 ? (
            <span className="badge">
              {pending}
              <span className="sr-only"> waiting</span>
            </span>
          ) : null}
        </Link>
        <label className="search">
          <span className="sr-only">Search conversations</span>
          <PageIcon name="search" />
          <input
            type="search"
            placeholder="Search"
            value={list.search}
            onChange={(event) => model.conversations.search(event.target.value)}
          />
        </label>
      </div>
      <div className="conversations">
        {list.archived ? <h2 className="day-head">Archived</h2> : null}
        {list.fault === null ? null : (
          <p className="card-fault" role="alert">
            {list.fault.message}
          </p>
        )}
        {list.phase === 'ready' && list.items.length === 0 ? (
          <p className="quiet nothing">
            {list.search !== ''
              ? 'Nothing found.'
              : list.archived
                ? 'Nothing is archived.'
                : 'Your conversations will be here.'}
          </p>
        ) : null}
        {byDay(list.items, changedAt, now).map((day) => (
          <section key={day.label} aria-label={day.label}>
            <h2 className="day-head">{day.label}</h2>
            <ul>
              {day.items.map((item) => (
                <Row key={item.thread_id} item={item} current={item.thread_id === current} close={close} />
              ))}
            </ul>
          </section>
        ))}
        {list.cursor === null ? null : (
          <button
            type="button"
            className="button small plain more"
            onClick={() => void model.conversations.more()}
          >
            Show more
          </button>
        )}
      </div>
      <div className="sidebar-foot">
        <button
          type="button"
          className="foot-button"
          aria-pressed={list.archived}
          onClick={() => model.conversations.showArchived(!list.archived)}
        >
          {list.archived ? <Icon name="left" /> : <PageIcon name="archive" />}
          {list.archived ? 'Back to all' : 'Archived'}
        </button>
        <NotifyButton />
        {credits === null ? null : (
          <p className="credits">
            <Icon name="coin" />
            <span>
              <strong>{credits.toLocaleString()}</strong> {credits === 1 ? 'credit' : 'credits'} left
            </span>
          </p>
        )}
        {user === null || user.email === '' ? null : <p className="quiet who">{user.email}</p>}
      </div>
    </nav>
  );
}

function Row({ item, current, close }: { item: ConversationSummary; current: boolean; close(): void }) {
  const archived = (item.archived_at ?? null) !== null;
  const title = item.title ?? 'New conversation';
  return (
    <li className={current ? 'row current' : 'row'}>
      <Link href={threadPath(item.thread_id)} current={current} onGo={close}>
        <span className="row-title">{title}</span>
        <State item={item} />
      </Link>
      <ThreadMenu threadId={item.thread_id} title={title} archived={archived} label={`Menu of ${title}`} />
    </li>
  );
}

function State({ item }: { item: ConversationSummary }) {
  const pending = item.pending_approvals ?? 0;
  if (pending > 0)
    return <span className="badge wait">{pending === 1 ? 'Approve' : `Approve ${pending}`}</span>;
  if (item.status !== 'running') return null;
  return (
    <span className="running">
      <span className="sr-only">running</span>
    </span>
  );
}

function NotifyButton() {
  const { notifications } = useSurroundings();
  const [state, setState] = useState(() => notifications?.state() ?? 'denied');
  if (notifications === null || state !== 'default') return null;
  return (
    <button
      type="button"
      className="foot-button"
      onClick={async () => {
        await notifications.ask();
        setState(notifications.state());
      }}
    >
      <PageIcon name="bell" />
      Notify me of approvals
    </button>
  );
}
