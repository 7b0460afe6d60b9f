/** The page at `/`: it makes the model, shows it, and tells title, icon and notifications what waits. */

import { createRoot } from 'react-dom/client';
import type { Approval } from '../src/client/events.ts';
import { addressBar, schedule, soon, storageOf, tabsOf } from './browser.ts';
import { createMemory } from './state/memory.ts';
import { createPage, type PageModel } from './state/page.ts';
import { threadPath } from './state/router.ts';
import { App } from './view/App.tsx';
import { Asked } from './view/approval/Asked.tsx';
import { LaunchEnd } from './view/approval/LaunchEnd.tsx';
import { Recipients } from './view/approval/Recipients.tsx';
import { TestMail } from './view/approval/TestMail.tsx';
import { type Notifications, SurroundingsContext } from './view/model.tsx';

function start(): void {
  const storage = storageOf('localStorage');
  takeTokenFromAddress((token) => createMemory(storage, 'overture:').write('token', token));
  const model = createPage({
    baseUrl: location.origin,
    browser: addressBar,
    storage,
    tabStorage: storageOf('sessionStorage'),
    tabs: tabsOf(),
    soon,
    schedule,
    now: () => Date.now(),
    notify: (approval) => notify(model, approval),
  });
  showWhatWaits(model);
  const holder = document.getElementById('page');
  if (holder === null) return;
  createRoot(holder).render(
    <SurroundingsContext.Provider
      value={{
        model,
        kind: 'page',
        notifications: notificationsOf(),
        extras: { Asked, LaunchEnd, Recipients, TestMail },
      }}
    >
      <App />
    </SurroundingsContext.Provider>,
  );
  void model.start();
}

/** `#token=…` hands a token over; it does not stay in the address. */
function takeTokenFromAddress(take: (token: string) => void): void {
  const token = /^#token=([\w.~+/=-]+)$/.exec(location.hash)?.[1];
  if (token === undefined) return;
  take(token);
  history.replaceState(null, '', location.pathname);
}

/** The number that waits in the title, a dot on the icon. */
function showWhatWaits(model: PageModel): void {
  const icon = document.querySelector<HTMLLinkElement>('link[rel=icon]');
  let threadStore = model.store.get().thread.store;
  let stop = () => {};
  const show = () => {
    const { pending } = model.inbox.store.get();
    const { place } = model.router.store.get();
    const { conversation, threadId } = model.store.get().thread.store.get();
    const listed = model.conversations.store.get().items.find((item) => item.thread_id === threadId);
    const title = place.at === 'approvals' ? 'Approvals' : (conversation.title ?? listed?.title ?? null);
    document.title = `${pending > 0 ? `(${pending}) ` : ''}${title === null ? '' : `${title} · `}Overture`;
    const address = pending > 0 ? '/assets/favicon-waiting.svg' : '/assets/favicon.svg';
    if (icon !== null && icon.getAttribute('href') !== address) icon.setAttribute('href', address);
  };
  const follow = () => {
    threadStore = model.store.get().thread.store;
    stop();
    stop = threadStore.subscribe(show);
    show();
  };
  model.store.subscribe(() => {
    if (model.store.get().thread.store !== threadStore) follow();
  });
  model.inbox.store.subscribe(show);
  model.conversations.store.subscribe(show);
  model.router.store.subscribe(show);
  follow();
}

function notificationsOf(): Notifications | null {
  if (!('Notification' in window)) return null;
  return {
    state: () => Notification.permission,
    async ask() {
      await Notification.requestPermission();
    },
  };
}

/** Only who looks elsewhere is told, and may come to the card by a click. */
function notify(model: PageModel, approval: Approval): void {
  if (!('Notification' in window) || Notification.permission !== 'granted' || !document.hidden) return;
  const notification = new Notification('Overture needs your approval', {
    body: approval.title,
    tag: approval.approval_id,
    icon: '/assets/favicon-waiting.svg',
  });
  notification.onclick = () => {
    window.focus();
    model.router.go(threadPath(approval.thread_id, approval.approval_id));
    notification.close();
  };
}

start();
