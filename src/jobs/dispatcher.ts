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
  let atWork: Promise<void> = Promise.resolve();
  let filling: Promise<void> | null = null;
  /** Whether the last claim got all it asked for, so that there may be more. */
  let more = false;

  /** Brings one claimed mailbox's mail to its end. Never throws: whatever was not kept is found again by its lease. */
  async function deliver(claim: Claim): Promise<void> {
    try {
      const begun = await delivery.begin(claim, clock.now());
      if (begun.kind === 'late') await followUps.replanMailbox(claim.workspaceId, claim.address, clock.now());
      if (begun.kind !== 'mail') return;
      const outcome = await handOver(begun.mail);
      await delivery.settle(begun.mail, outcome, clock.now());
    } catch (error) {
      log.warn({ err: error }, 'a mail could not be brought to its end; its lease will tell');
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

  /** Claims for the places that are free. A mail that ends makes room for the next at once, so a slow one holds up no other. */
  async function fill(): Promise<void> {
    const free = concurrency - onTheWay.size;
    if (stopped || free === 0) return;
    const claims = await delivery.claim(clock.now(), free);
    more = claims.length === free;
    for (const claim of claims) {
      const way: Promise<void> = deliver(claim).then(() => {
        onTheWay.delete(way);
        // Several places in one claim: a statement for each mail would cost more than it brings.
        if (more && concurrency - onTheWay.size >= concurrency / 4) refill();
      });
      onTheWay.add(way);
    }
  }

  function refill(): void {
    filling ??= fill()
      .catch((error) => log.warn({ err: error }, 'due mails could not be claimed; it is tried again'))
      .finally(() => {
        filling = null;
      });
  }

  /** One round: gives up what was lost, begins what is due, plans what is next. */
  async function round(): Promise<void> {
    const at = clock.now();
    for (const mail of await delivery.lost(at, LOST)) await delivery.settle(mail, LOST_OUTCOME, at);
    refill();
    await filling;
    // What is left to plan is left for the next round, for as long as mails are due now.
    for (let again = true; again && !stopped; ) again = await followUps.planNext(at);
    await delivery.advance(at);
  }

  function next(): void {
    if (stopped) return;
    atWork = round()
      .catch((error) => log.warn({ err: error }, 'a round of the dispatcher failed; it is tried again'))
      .then(() => {
        if (!stopped) cancel = clock.after(ROUND_MS, next);
      });
  }

  /** Resolves when no mail is on its way. */
  async function idle(): Promise<void> {
    while (filling !== null || onTheWay.size > 0) await Promise.all([filling, ...onTheWay]);
  }

  return {
    round,
    idle,

    /** Begins; rounds follow each other until `stop`. */
    start: next,

    /** Claims nothing more and waits for the mails that are on their way. */
    async stop(): Promise<void> {
      stopped = true;
      cancel();
      await atWork;
      await idle();
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
