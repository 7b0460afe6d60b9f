/** Sends what is due: claims mailboxes, hands their mails over, keeps how that ended; any number of processes may do so. */

import type { Log } from '../log.ts';
import type { BegunMail, Claim, Delivery } from '../resources/campaigns/delivery/delivery.ts';
import type { FollowUps } from '../resources/campaigns/delivery/follow-ups.ts';
import { type Mailer, type MailOutcome, parseMailbox } from '../resources/outbox/mailer.ts';
import type { UnsubscribeLinks } from '../resources/unsubscribe/links.ts';
import type { Clock } from '../runtime/ports.ts';

export interface DispatcherNeeds {
  delivery: Delivery;
  followUps: FollowUps;
  mailer: Mailer;
  links: UnsubscribeLinks;
  clock: Clock;
  log: Log;
  /** Mails that are on their way at once. */
  concurrency: number;
}

const ROUND_MS = 1000;
/** Lost mails that one round gives up. */
const LOST = 100;

export type Dispatcher = ReturnType<typeof createDispatcher>;

export function createDispatcher(needs: DispatcherNeeds) {
  const { delivery, followUps, mailer, links, clock, log, concurrency } = needs;
  const onTheWay = new Set<Promise<void>>();
  let stopped = false;
  let cancel = () => {};
  let atWork: Promise<void> | null = null;

  /** Brings one claimed mailbox's mail to its end. Never throws: whatever was not kept is found again by its lease. */
  async function deliver(claim: Claim): Promise<boolean> {
    try {
      const begun = await delivery.begin(claim, clock.now());
      if (begun.kind !== 'mail') return begun.kind === 'done';
      const outcome = await handOver(begun.mail);
      await delivery.settle(begun.mail, outcome, clock.now());
      return true;
    } catch (error) {
      log.warn({ err: error }, 'a mail could not be brought to its end; its lease will tell');
      return false;
    }
  }

  function handOver(mail: BegunMail): Promise<MailOutcome> {
    const link = links.urlFor(mail.workspaceId, mail.id);
    return mailer.send({
      from: parseMailbox(mail.from),
      to: mail.to,
      subject: mail.subject,
      text: mail.body,
      messageId: mail.messageId,
      headers:
        link === null
          ? {}
          : { 'List-Unsubscribe': `<${link}>`, 'List-Unsubscribe-Post': 'List-Unsubscribe=One-Click' },
    });
  }

  /** Sends until nothing is due; each free place is filled at once, so that a slow mail holds up no other. */
  async function sendDue(): Promise<number> {
    let sent = 0;
    for (;;) {
      const free = concurrency - onTheWay.size;
      const claims = stopped || free === 0 ? [] : await delivery.claim(clock.now(), free);
      for (const claim of claims) {
        const way: Promise<void> = deliver(claim).then((done) => {
          onTheWay.delete(way);
          if (done) sent += 1;
        });
        onTheWay.add(way);
      }
      if (onTheWay.size === 0) return sent;
      // A place is free, or everything that was due is on its way: what becomes due meanwhile is asked for then.
      await Promise.race(onTheWay);
    }
  }

  /** One round: gives up what was lost, plans what has no moment, sends what is due. Answers how many mails it ended. */
  async function round(): Promise<number> {
    const began = clock.now();
    for (const mail of await delivery.lost(began, LOST)) await delivery.settle(mail, LOST_OUTCOME, began);
    await followUps.planLate(began);
    let sent = await sendDue();
    while (!stopped && (await followUps.planNext(clock.now()))) sent += await sendDue();
    await delivery.advance(clock.now());
    return sent;
  }

  function next(): void {
    if (stopped) return;
    atWork = round()
      .then(
        () => {},
        (error) => log.warn({ err: error }, 'a round of the dispatcher failed; it is tried again'),
      )
      .finally(() => {
        atWork = null;
        if (!stopped) cancel = clock.after(ROUND_MS, next);
      });
  }

  return {
    round,

    start: next,

    /** Claims nothing more and waits for the mails that are on their way. */
    async stop(): Promise<void> {
      stopped = true;
      cancel();
      await Promise.allSettled([...onTheWay, atWork]);
    },
  };
}

const LOST_OUTCOME: MailOutcome = {
  state: 'unknown',
  error: {
    code: 'EFFECT_UNKNOWN',
    message:
      'The process that sent this mail was lost before it heard whether it was taken, so it may have left. It is not sent again by itself.',
    retryable: false,
  },
};
