/** The card on which a person decides: facts, checks, what will be sent, then the buttons; afterwards who decided and what came of it. */

import { type ReactNode, useEffect, useId, useLayoutEffect, useRef, useState } from 'react';
import type { Approval, DecisionKind, Preview, ToolPart, Warning } from '../../src/client/events.ts';
import {
  actLabel,
  actVerb,
  amountsOf,
  expiryOf,
  gradeOf,
  nameIn,
  needsTick,
  numberToType,
  outcomeOf,
  whoDecided,
} from '../logic/card.ts';
import { absolute, relative } from '../logic/days.ts';
import { standing } from '../state/decisions.ts';
import { threadPath } from '../state/router.ts';
import { ApprovalEditor, EditDiff } from './ApprovalEditor.tsx';
import { Icon, type IconName } from './Icon.tsx';
import { isUnfilled, MailView } from './MailView.tsx';
import { useFocusWhen, useModel, useNow, useStore } from './model.tsx';
import { Scroll } from './Scroll.tsx';
import { CARD_SHOWN } from './shown.ts';
import { useEdit } from './useEdit.ts';

export interface ApprovalCardProps {
  approval: Approval;
  /** Its tool call, where the conversation is at hand. */
  call: ToolPart | undefined;
  /** The kind of the card that was asked next for the same call. */
  next: Approval['kind'] | null;
  place: 'thread' | 'inbox';
}

export function ApprovalCard({ approval: told, call, next, place }: ApprovalCardProps) {
  const model = useModel();
  const decision = useStore(model.decisions.store, (state) => state.byId[told.approval_id]);
  const linked = useStore(model.router.store, (state) => state.approvalId === told.approval_id);
  const approval = standing(told, decision);
  const card = useRef<HTMLElement>(null);
  const heading = useRef<HTMLHeadingElement>(null);
  const open = approval.status === 'pending';
  const recorded = decision?.phase === 'recorded';
  const now = useNow(15_000);
  const over = open && !recorded && expiryOf(approval, now) === 'over';
  const live = open && !recorded && !over;

  // Whoever decided here keeps their place: the buttons go, the card stays.
  const focusWithin = useRef(false);
  useLayoutEffect(() => {
    const root = card.current?.getRootNode() as Document | ShadowRoot | undefined;
    if (live) {
      focusWithin.current = card.current?.contains(root?.activeElement ?? null) === true;
    } else if (focusWithin.current) {
      focusWithin.current = false;
      heading.current?.focus({ preventScroll: true });
    }
  });

  // A conversation brings a card to where it is read from its top, once it is there.
  useLayoutEffect(() => {
    card.current?.dispatchEvent(new CustomEvent(CARD_SHOWN, { bubbles: true, detail: told.approval_id }));
  }, [told.approval_id]);

  useEffect(() => {
    if (!linked) return;
    if (place === 'inbox') card.current?.scrollIntoView({ block: 'start' });
    heading.current?.focus({ preventScroll: true });
  }, [linked, place]);

  const titleId = useId();
  return (
    <section
      ref={card}
      id={`approval-${approval.approval_id}`}
      className={`approval ${live ? 'waiting' : 'ended'} ${linked ? 'linked' : ''}`}
      aria-labelledby={titleId}
      data-status={approval.status}
    >
      <header className="approval-head">
        <Tag approval={approval} recorded={recorded} over={over} />
        {live ? <Expiry approval={approval} now={now} /> : null}
        {place === 'inbox' ? (
          <a
            className="approval-link"
            href={threadPath(approval.thread_id, approval.approval_id)}
            onClick={(event) => {
              if (event.metaKey || event.ctrlKey) return;
              event.preventDefault();
              model.router.go(threadPath(approval.thread_id, approval.approval_id));
            }}
          >
            Open conversation
          </a>
        ) : null}
      </header>
      <h2 id={titleId} ref={heading} tabIndex={-1}>
        {approval.title}
      </h2>
      {live ? (
        <OpenCard key={approval.args_hash} approval={approval} />
      ) : (
        <EndedCard approval={approval} call={call} next={next} recorded={recorded} over={over} />
      )}
    </section>
  );
}

function Tag({ approval, recorded, over }: { approval: Approval; recorded: boolean; over: boolean }) {
  const tags: Record<Approval['status'], [words: string, tone: string, icon: IconName]> = {
    pending:
      approval.kind === 'outcome'
        ? ['Outcome unknown', 'bad', 'warning']
        : ['Needs your approval', 'wait', 'clock'],
    approved: [approval.kind === 'outcome' ? 'Answered' : 'Approved', 'good', 'check'],
    rejected: ['Rejected', 'quiet', 'close'],
    expired: ['Expired', 'quiet', 'clock'],
    superseded: ['Given up', 'quiet', 'close'],
  };
  const [words, tone, icon] =
    tags[over ? 'expired' : recorded && approval.status === 'pending' ? 'approved' : approval.status];
  return (
    <span className={`tag tag-${tone}`}>
      <Icon name={icon} />
      {words}
    </span>
  );
}

function Expiry({ approval, now }: { approval: Approval; now: number }) {
  return (
    <time
      className={`expiry ${expiryOf(approval, now)}`}
      dateTime={approval.expires_at}
      title={absolute(approval.expires_at)}
    >
      Expires {relative(approval.expires_at, now)}
    </time>
  );
}

type Mode = 'view' | 'edit' | 'reject';

function OpenCard({ approval }: { approval: Approval }) {
  const { client, decisions } = useModel();
  const edit = useEdit(approval, client);
  const [mode, setMode] = useState<Mode>('view');
  const state = useStore(decisions.store, (all) => all.byId[approval.approval_id]);
  const sending = state?.phase === 'sending' ? state.decision : null;
  const shown: Approval = edit.preview === null ? approval : { ...approval, ...edit.preview };

  function decide(kind: DecisionKind, reason?: string): void {
    const edited = kind === 'approve' && edit.changed;
    if (edited && edit.preview === null) return;
    void decisions.decide(approval, {
      decision: edited ? 'edit' : kind,
      args_hash: edited && edit.preview !== null ? edit.preview.args_hash : approval.args_hash,
      ...(edited && edit.preview !== null ? { args: edit.preview.args ?? {} } : {}),
      ...(reason === undefined || reason === '' ? {} : { reason }),
    });
  }

  return (
    <>
      <p className="approval-reason">{approval.reason}</p>
      <Facts facts={shown.facts} before={edit.preview === null ? null : approval.facts} />
      <Checks warnings={shown.warnings} />
      {mode === 'edit' ? <ApprovalEditor edit={edit} /> : null}
      <Previews previews={shown.preview} checking={edit.phase === 'checking'} />
      {edit.changed && edit.preview !== null ? (
        <EditDiff approval={approval} args={edit.preview.args ?? {}} title="Your edits" />
      ) : null}
      <p className="consequence">{shown.consequence}</p>
      <details className="raw">
        <summary>What exactly is approved</summary>
        <Scroll className="raw-text" label="Arguments">
          <pre>{JSON.stringify(shown.args, null, 2)}</pre>
        </Scroll>
        <p className="quiet hash">
          {approval.tool} · {shown.args_hash.slice(0, 12)}
        </p>
      </details>
      {state?.phase === 'failed' ? (
        <p className="card-fault" role="alert">
          <Icon name="warning" /> {state.fault?.message}
        </p>
      ) : null}
      {approval.kind === 'outcome' ? (
        <OutcomeButtons approval={approval} sending={sending?.decision ?? null} decide={decide} />
      ) : (
        <Buttons
          approval={shown}
          mode={mode}
          setMode={(next) => {
            if (next === 'view' && mode === 'edit') edit.discard();
            setMode(next);
          }}
          edited={edit.changed}
          ready={!edit.changed || edit.phase === 'ready'}
          checking={edit.phase === 'checking'}
          sending={sending?.decision ?? null}
          decide={decide}
        />
      )}
    </>
  );
}

function Facts({ facts, before }: { facts: Approval['facts']; before: Approval['facts'] | null }) {
  return (
    <dl className="facts">
      {facts.map((fact) => {
        const old = before?.find((one) => one.label === fact.label)?.value;
        const [, name, address] = /^"?([^"<]+?)"?\s*<([^<>\s]+)>$/.exec(fact.value) ?? [];
        const long = address === undefined && fact.value.length > 26;
        return (
          <div key={fact.label} className={long ? 'fact wide' : 'fact'}>
            <dt>{fact.label}</dt>
            <dd>
              {name ?? fact.value}
              {before !== null && old !== fact.value ? <span className="fact-changed">changed</span> : null}
              {address === undefined ? null : <span className="fact-address">{address}</span>}
            </dd>
          </div>
        );
      })}
    </dl>
  );
}

const GRADES: Record<ReturnType<typeof gradeOf>, { icon: IconName; word: string }> = {
  blocked: { icon: 'blocked', word: 'Blocked' },
  warning: { icon: 'warning', word: 'Warning' },
  note: { icon: 'note', word: 'Note' },
  ok: { icon: 'check', word: 'OK' },
};

function Checks({ warnings }: { warnings: readonly Warning[] }) {
  if (warnings.length === 0) {
    return (
      <ul className="checks" aria-label="Checks">
        <li className="check check-ok">
          <Icon name="check" />
          <strong>OK</strong>
          <span>The checks found nothing to think about.</span>
        </li>
      </ul>
    );
  }
  return (
    <ul className="checks" aria-label="Checks">
      {warnings.map((warning) => {
        const grade = gradeOf(warning);
        return (
          <li key={`${warning.code} ${warning.message}`} className={`check check-${grade}`}>
            <Icon name={GRADES[grade].icon} />
            <strong>{GRADES[grade].word}</strong>
            <span>{warning.message}</span>
          </li>
        );
      })}
    </ul>
  );
}

/** What will be sent, one recipient at a time; the one with something unfilled is a click away. */
function Previews({ previews, checking }: { previews: readonly Preview[]; checking: boolean }) {
  const [at, setAt] = useState(0);
  const index = Math.min(at, previews.length - 1);
  const preview = previews[index];
  if (preview === undefined) return null;
  const worst = previews.findIndex(isUnfilled);
  return (
    <section
      className={checking ? 'preview checking' : 'preview'}
      aria-label="What will be sent"
      aria-busy={checking}
    >
      <header>
        <span>
          {previews.length === 1
            ? 'Preview'
            : `Preview ${index + 1} of ${previews.length}${preview.to === undefined ? '' : `: ${nameIn(preview.to)}`}`}
        </span>
        {worst >= 0 && worst !== index ? (
          <button type="button" className="button small" onClick={() => setAt(worst)}>
            <Icon name="warning" /> Worst case
          </button>
        ) : null}
        {previews.length > 1 ? (
          <span className="pager">
            <button
              type="button"
              className="icon-button"
              aria-label="Previous recipient"
              disabled={index === 0}
              onClick={() => setAt(index - 1)}
            >
              <Icon name="left" />
            </button>
            <button
              type="button"
              className="icon-button"
              aria-label="Next recipient"
              disabled={index === previews.length - 1}
              onClick={() => setAt(index + 1)}
            >
              <Icon name="right" />
            </button>
          </span>
        ) : null}
      </header>
      <MailView mail={preview} />
    </section>
  );
}

interface ButtonsProps {
  approval: Approval;
  mode: Mode;
  setMode(mode: Mode): void;
  edited: boolean;
  ready: boolean;
  checking: boolean;
  sending: DecisionKind | null;
  decide(kind: DecisionKind, reason?: string): void;
}

function Buttons({ approval, mode, setMode, edited, ready, checking, sending, decide }: ButtonsProps) {
  const [ticked, setTicked] = useState(false);
  const [typed, setTyped] = useState('');
  const [returning, setReturning] = useState<Mode | null>(null);
  const editButton = useFocusWhen<HTMLButtonElement>(returning === 'edit');
  const rejectButton = useFocusWhen<HTMLButtonElement>(returning === 'reject');
  const allowed = approval.allowed_decisions;
  const toType = numberToType(approval);
  const numberId = useId();
  const confirmed = toType === null || typed.replaceAll(/[.,\s]/g, '') === String(toType.number);
  const mayApprove =
    allowed.includes('approve') && ready && confirmed && (!needsTick(approval) || ticked) && sending === null;

  function leave(to: Mode): void {
    setReturning(mode);
    setMode(to);
  }

  if (mode === 'reject')
    return <RejectForm sending={sending !== null} decide={decide} back={() => leave('view')} />;
  return (
    <div className="decide">
      {needsTick(approval) && allowed.includes('approve') ? (
        <label className="tick">
          <input type="checkbox" checked={ticked} onChange={(event) => setTicked(event.target.checked)} />I
          have read the warnings above
        </label>
      ) : null}
      {toType === null ? null : (
        <div className="type-number">
          <label htmlFor={numberId}>
            Type <strong>{toType.number.toLocaleString()}</strong> to confirm the number of {toType.what}
          </label>
          <input
            id={numberId}
            inputMode="numeric"
            autoComplete="off"
            value={typed}
            onChange={(event) => setTyped(event.target.value)}
          />
        </div>
      )}
      {allowed.includes('approve') ? null : (
        <p className="card-fault">
          <Icon name="blocked" /> This cannot be approved as it stands.
        </p>
      )}
      <div className="decide-buttons">
        {allowed.includes('reject') && mode === 'view' ? (
          <button
            key="reject"
            ref={rejectButton}
            type="button"
            className="button plain danger"
            disabled={sending !== null}
            onClick={() => leave('reject')}
          >
            Reject…
          </button>
        ) : null}
        {mode === 'edit' ? (
          <button
            key="discard"
            type="button"
            className="button"
            disabled={sending !== null}
            onClick={() => leave('view')}
          >
            {edited ? 'Discard edits' : 'Back'}
          </button>
        ) : allowed.includes('edit') ? (
          <button
            key="edit"
            ref={editButton}
            type="button"
            className="button"
            disabled={sending !== null}
            onClick={() => leave('edit')}
          >
            <Icon name="pencil" /> Edit
          </button>
        ) : null}
        {allowed.includes('approve') ? (
          <button
            key="approve"
            type="button"
            className="button primary"
            disabled={!mayApprove}
            onClick={() => decide('approve')}
          >
            {sending !== null ? (
              <>
                <span className="spinner" /> {actVerb(approval).doing}
              </>
            ) : edited ? (
              checking ? (
                'Checking your edits…'
              ) : (
                actVerb(approval).withEdits
              )
            ) : (
              actLabel(approval)
            )}
          </button>
        ) : null}
      </div>
    </div>
  );
}

const REASONS = ['Wrong people', 'Wrong wording', 'Wrong time', 'Too expensive'];

function RejectForm({
  sending,
  decide,
  back,
}: {
  sending: boolean;
  decide(kind: DecisionKind, reason?: string): void;
  back(): void;
}) {
  const id = useId();
  const [reason, setReason] = useState('');
  const field = useFocusWhen<HTMLTextAreaElement>(true);
  return (
    <div className="reject">
      <label htmlFor={id}>Why not? The agent reads this and can do better.</label>
      <div className="chips">
        {REASONS.map((words) => (
          <button
            key={words}
            type="button"
            className="chip"
            onClick={() => {
              setReason((before) =>
                before.trim() === '' ? `${words}: ` : `${before.trim()}; ${words.toLowerCase()}: `,
              );
              field.current?.focus();
            }}
          >
            {words}
          </button>
        ))}
      </div>
      <textarea
        id={id}
        ref={field}
        rows={3}
        maxLength={2_000}
        value={reason}
        onChange={(event) => setReason(event.target.value)}
        onKeyDown={(event) => {
          if (event.key === 'Escape') back();
        }}
      />
      <div className="decide-buttons">
        <button key="back" type="button" className="button" disabled={sending} onClick={back}>
          Back
        </button>
        <button
          key="confirm-reject"
          type="button"
          className="button danger solid"
          disabled={sending}
          onClick={() => decide('reject', reason.trim().replace(/[:;]$/, ''))}
        >
          {sending ? 'Rejecting…' : 'Reject, do nothing'}
        </button>
      </div>
    </div>
  );
}

const OUTCOMES: { kind: DecisionKind; label: string; hint: string }[] = [
  { kind: 'mark_done', label: 'It happened', hint: 'The agent goes on as if it had heard so itself.' },
  { kind: 'mark_failed', label: 'It did not happen', hint: 'The agent is told that it failed.' },
  { kind: 'retry', label: 'Do it again', hint: 'It may then have happened twice.' },
];

function OutcomeButtons({
  approval,
  sending,
  decide,
}: {
  approval: Approval;
  sending: DecisionKind | null;
  decide(kind: DecisionKind): void;
}) {
  return (
    <ul className="outcomes">
      {OUTCOMES.filter(({ kind }) => approval.allowed_decisions.includes(kind)).map(
        ({ kind, label, hint }) => (
          <li key={kind}>
            <button
              type="button"
              className={kind === 'retry' ? 'button danger' : 'button'}
              disabled={sending !== null}
              onClick={() => decide(kind)}
            >
              {sending === kind ? <span className="spinner" /> : null}
              {label}
            </button>
            <span className="quiet">{hint}</span>
          </li>
        ),
      )}
    </ul>
  );
}

const ANSWERS: Partial<Record<DecisionKind, string>> = {
  mark_done: 'said that it happened',
  mark_failed: 'said that it did not happen',
  retry: 'let it be done again',
};

/** Who decided, when, with which edits, and what came of it; the rest is folded and stays. */
function EndedCard({
  approval,
  call,
  next,
  recorded,
  over,
}: {
  approval: Approval;
  call: ToolPart | undefined;
  next: Approval['kind'] | null;
  recorded: boolean;
  over: boolean;
}) {
  const model = useModel();
  const now = useNow(30_000);
  const me = useStore(model.session.store, (state) => state.user?.userId);
  const status = over ? 'expired' : recorded && approval.status === 'pending' ? 'approved' : approval.status;
  const ended: Approval = { ...approval, status };
  const outcome = outcomeOf(ended, call, next);
  const decided = status === 'approved' || status === 'rejected';
  return (
    <>
      {decided ? (
        <p className="decided">
          {whoDecided(approval.decided_by, me)}{' '}
          {(approval.decision && ANSWERS[approval.decision]) ??
            (status === 'rejected'
              ? 'rejected this'
              : approval.decision === 'edit'
                ? 'approved this with edits'
                : 'approved this')}
          {approval.decided_at === undefined ? null : (
            <>
              {' '}
              <time dateTime={approval.decided_at} title={absolute(approval.decided_at)}>
                {relative(approval.decided_at, now)}
              </time>
            </>
          )}
          {approval.decision_reason ? <q>{approval.decision_reason}</q> : null}
        </p>
      ) : null}
      <p className={`outcome outcome-${outcome.tone}`}>
        {outcome.tone === 'busy' ? (
          <span className="spinner" />
        ) : (
          <Icon name={outcome.tone === 'good' ? 'check' : outcome.tone === 'bad' ? 'warning' : 'note'} />
        )}
        <span>{outcome.words}</span>
      </p>
      {approval.executed_args === undefined ? null : (
        <EditDiff approval={approval} args={approval.executed_args} title="Edited before approval" />
      )}
      <details className="raw">
        <summary>What was proposed</summary>
        <Facts facts={approval.facts} before={null} />
        {approval.warnings.length > 0 ? <Checks warnings={approval.warnings} /> : null}
        <Previews previews={approval.preview} checking={false} />
      </details>
      {status === 'expired' ? (
        <AskAgain>
          <button
            type="button"
            className="button small"
            onClick={() => {
              model.send(`The approval “${approval.title}” has expired. Please propose it again.`);
            }}
          >
            <Icon name="retry" /> Ask again
          </button>
        </AskAgain>
      ) : null}
    </>
  );
}

/** Only in its own conversation can it be asked for again. */
function AskAgain({ children }: { children: ReactNode }) {
  const model = useModel();
  const inThread = useStore(model.router.store, (state) => state.place.at === 'chat');
  return inThread ? <p>{children}</p> : null;
}

/** The sum line of several cards. */
export function sumOf(approvals: readonly Approval[]): string {
  const amounts = approvals.map((approval) => amountsOf(approval.facts));
  const credits = amounts.reduce((sum, one) => sum + (one.credits ?? 0), 0);
  const recipients = amounts.reduce((sum, one, place) => {
    const single = approvals[place]?.tool === 'send_email' ? 1 : 0;
    return sum + (one.recipients ?? single);
  }, 0);
  const words = [
    recipients > 0 ? `${recipients.toLocaleString()} ${recipients === 1 ? 'recipient' : 'recipients'}` : '',
    credits > 0 ? `${credits.toLocaleString()} ${credits === 1 ? 'credit' : 'credits'}` : '',
  ];
  return words.filter((one) => one !== '').join(', ');
}
