/** The card while it waits: facts, checks, what will be sent, the edits, what follows, and the buttons at its foot. */

import { useState } from 'react';
import type { Approval, DecisionKind } from '../../../src/client/events.ts';
import { layOut } from '../../logic/facts.ts';
import { Icon } from '../Icon.tsx';
import { useModel, useStore, useSurroundings } from '../model.tsx';
import { Scroll } from '../Scroll.tsx';
import { Checks } from './Checks.tsx';
import { Decide, type Mode } from './Decide.tsx';
import { EditDiff } from './EditDiff.tsx';
import { Editor } from './Editor.tsx';
import { Facts } from './Facts.tsx';
import { OutcomeButtons } from './OutcomeButtons.tsx';
import { Previews } from './Previews.tsx';
import { useEdit } from './useEdit.ts';

export function OpenCard({ approval }: { approval: Approval }) {
  const { client, decisions } = useModel();
  const { extras } = useSurroundings();
  const edit = useEdit(approval, client);
  const [mode, setMode] = useState<Mode>('view');
  const state = useStore(decisions.store, (all) => all.byId[approval.approval_id]);
  const sending = state?.phase === 'sending' ? (state.decision?.decision ?? null) : null;
  const shown: Approval = edit.preview === null ? approval : { ...approval, ...edit.preview };

  function decide(kind: DecisionKind, reason = ''): void {
    const { preview } = edit;
    const why = reason === '' ? {} : { reason };
    if (kind !== 'approve' || !edit.changed) {
      void decisions.decide(approval, { decision: kind, args_hash: approval.args_hash, ...why });
    } else if (preview !== null) {
      const { args = {}, args_hash } = preview;
      void decisions.decide(approval, { decision: 'edit', args_hash, args });
    }
  }

  return (
    <>
      <p className="approval-reason">{approval.reason}</p>
      <Facts facts={shown.facts} before={edit.preview === null ? null : approval.facts} />
      {extras && <extras.Recipients approval={approval} />}
      <Checks warnings={shown.warnings} />
      {mode === 'edit' ? <Editor edit={edit} /> : null}
      <Previews
        previews={shown.preview}
        caption={layOut(shown.facts).caption}
        checking={edit.phase === 'checking'}
        foot={(index) =>
          extras && (
            <extras.TestMail
              key={`${shown.args_hash} ${index}`}
              approval={shown}
              args={edit.preview?.args}
              index={index}
            />
          )
        }
      />
      {edit.preview === null ? null : (
        <EditDiff approval={approval} args={edit.preview.args ?? {}} title="Your edits" />
      )}
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
        <OutcomeButtons approval={approval} sending={sending} decide={decide} />
      ) : (
        <Decide
          approval={shown}
          edit={edit}
          mode={mode}
          setMode={(next) => {
            if (next === 'view' && mode === 'edit') edit.discard();
            setMode(next);
          }}
          sending={sending}
          decide={decide}
        />
      )}
    </>
  );
}
