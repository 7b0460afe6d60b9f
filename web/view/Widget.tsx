/** The chat in a corner of somebody else's page: a button, and a panel with one conversation and what waits. */

import { useEffect, useRef } from 'react';
import { threadPath } from '../state/router.ts';
import { Announcer } from './Announcer.tsx';
import { Chat } from './Chat.tsx';
import { useKeptFocus } from './focus.ts';
import { Icon, Mark } from './Icon.tsx';
import { useModel, useStore } from './model.tsx';
import { SignIn } from './SignIn.tsx';

export function Widget({
  heading,
  open,
  onOpen,
}: {
  heading: string;
  open: boolean;
  onOpen(open: boolean): void;
}) {
  const model = useModel();
  const phase = useStore(model.session.store, (state) => state.phase);
  const thread = useStore(model.store, (state) => state.thread);
  const pending = useStore(model.conversations.store, ({ items }) =>
    items.reduce((sum, item) => sum + (item.pending_approvals ?? 0), 0),
  );
  const button = useRef<HTMLButtonElement>(null);
  const panel = useRef<HTMLElement>(null);
  const whole = useRef<HTMLDivElement>(null);
  const was = useRef(open);
  useKeptFocus(whole);
  const closed = phase === 'needed' || phase === 'expired';

  useEffect(() => {
    if (open === was.current) return;
    was.current = open;
    if (open) panel.current?.querySelector<HTMLElement>('.composer textarea')?.focus();
    else button.current?.focus();
  }, [open]);

  return (
    <div ref={whole} data-focus=".composer textarea:not(:disabled), .launcher">
      {open ? (
        <section
          ref={panel}
          className="panel"
          aria-label={heading}
          onKeyDown={(event) => {
            if (event.key === 'Escape' && !event.defaultPrevented) onOpen(false);
          }}
        >
          <header className="panel-head">
            <Mark />
            <h2>{heading}</h2>
            <WaitingElsewhere />
            <button
              type="button"
              className="icon-button"
              aria-label="New chat"
              title="New chat"
              onClick={() => model.router.go('/')}
            >
              <Icon name="plus" />
            </button>
            <button
              type="button"
              className="icon-button"
              aria-label="Close"
              title="Close"
              onClick={() => onOpen(false)}
            >
              <Icon name="close" />
            </button>
          </header>
          <div className="panel-body" inert={closed}>
            <Chat key={thread.serial} thread={thread} />
          </div>
          {closed ? <SignIn /> : null}
          <Announcer />
        </section>
      ) : null}
      <button
        ref={button}
        type="button"
        className={open ? 'launcher open' : 'launcher'}
        aria-expanded={open}
        aria-label={
          pending > 0
            ? `${heading}, ${pending === 1 ? '1 approval waits' : `${pending} approvals wait`}`
            : heading
        }
        onClick={() => onOpen(!open)}
      >
        {open ? <Icon name="down" /> : <Mark />}
        {pending > 0 && !open ? <span className="badge">{pending}</span> : null}
      </button>
    </div>
  );
}

/** The way to a card that waits in another conversation; in the open one it is in sight. */
function WaitingElsewhere() {
  const model = useModel();
  const open = useStore(model.router.store, ({ place }) => (place.at === 'chat' ? place.threadId : null));
  const other = useStore(model.conversations.store, ({ items }) =>
    items.find((item) => (item.pending_approvals ?? 0) > 0 && item.thread_id !== open),
  );
  if (other === undefined) return null;
  return (
    <button
      type="button"
      className="button small"
      onClick={() => model.router.go(threadPath(other.thread_id))}
    >
      <Icon name="inbox" /> Approve
    </button>
  );
}
