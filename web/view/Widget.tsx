/** The chat in a corner of somebody else's page: a button, and a panel with one conversation and what waits. */

import { useEffect, useRef } from 'react';
import { Chat } from './Chat.tsx';
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
  const pending = useStore(model.inbox.store, (state) => state.pending);
  const { text, count } = useStore(model.store, (state) => state.announcement);
  const button = useRef<HTMLButtonElement>(null);
  const panel = useRef<HTMLElement>(null);
  const was = useRef(open);
  const closed = phase === 'needed' || phase === 'expired';

  useEffect(() => {
    if (open === was.current) return;
    was.current = open;
    if (open) panel.current?.querySelector<HTMLElement>('.composer textarea')?.focus();
    else button.current?.focus();
  }, [open]);

  return (
    <>
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
            <Chat key={thread.serial} thread={thread} openList={() => {}} />
          </div>
          {closed ? <SignIn /> : null}
          <div className="sr-only" role="status" aria-live="polite" aria-atomic="true">
            <p key={count}>{text}</p>
          </div>
        </section>
      ) : null}
      <button
        ref={button}
        type="button"
        className={open ? 'launcher open' : 'launcher'}
        aria-expanded={open}
        aria-label={pending > 0 ? `${heading}, ${pending} approvals wait` : heading}
        onClick={() => onOpen(!open)}
      >
        {open ? <Icon name="down" /> : <Mark />}
        {pending > 0 && !open ? <span className="badge">{pending}</span> : null}
      </button>
    </>
  );
}
