/** Everybody whom a card is about: read when it is opened, searched here, and taken away as a file. */

import { useState } from 'react';
import type { Approval } from '../../../src/client/events.ts';
import { toCsv } from '../../logic/csv.ts';
import { type Fault, faultOf } from '../../state/faults.ts';
import { Icon } from '../Icon.tsx';
import { useModel } from '../model.tsx';
import { Scroll } from '../Scroll.tsx';

interface Recipient {
  email: string;
  name: string | null;
  company: string | null;
  left_out: string | null;
  /** In the list as it was told. */
  place: number;
}

interface Listed {
  args_hash: string;
  recipients: Recipient[];
}

const SHOWN = 20;
const TOOLS = ['launch_campaign', 'resume_campaign', 'add_leads_to_campaign'];

export function Recipients({ approval }: { approval: Approval }) {
  const { client } = useModel();
  const [listed, setListed] = useState<Listed | null>(null);
  const [fault, setFault] = useState<Fault | null>(null);
  if (!TOOLS.includes(approval.tool) || approval.kind === 'outcome') return null;

  async function read(): Promise<void> {
    const { thread_id, approval_id } = approval;
    setFault(null);
    try {
      const told = await client.request<Listed>(
        'GET',
        `/api/v1/agent/conversations/${thread_id}/approvals/${approval_id}/recipients`,
      );
      const recipients = told.recipients.map((one, place) => ({ ...one, place }));
      setListed({ ...told, recipients });
    } catch (error) {
      setFault(faultOf(error));
    }
  }

  return (
    <details className="raw recipients" onToggle={(event) => event.currentTarget.open && void read()}>
      <summary>Who gets it</summary>
      {fault !== null ? (
        <p className="outcome outcome-bad" role="alert">
          <Icon name="warning" />
          <span>{fault.message}</span>
        </p>
      ) : listed === null ? (
        <p className="loading">
          <span className="spinner" /> Reading…
        </p>
      ) : (
        <List recipients={listed.recipients} changed={listed.args_hash !== approval.args_hash} />
      )}
    </details>
  );
}

function List({ recipients, changed }: { recipients: readonly Recipient[]; changed: boolean }) {
  const [wanted, setWanted] = useState('');
  const words = wanted.trim().toLowerCase();
  const found = recipients.filter((one) => cellsOf(one).some((text) => text.toLowerCase().includes(words)));
  const shown = found.slice(0, SHOWN);
  return (
    <>
      {changed ? (
        <p className="outcome outcome-quiet">
          <Icon name="note" />
          <span>This has changed since the card was made. If it is approved, a new card asks.</span>
        </p>
      ) : null}
      <div className="recipients-bar">
        <input
          type="search"
          aria-label="Search the recipients"
          placeholder="Search"
          value={wanted}
          onChange={(event) => setWanted(event.target.value)}
        />
        <button type="button" className="button small" onClick={() => download(found)}>
          <Icon name="file" /> Download CSV
        </button>
      </div>
      {shown.length === 0 ? null : (
        <Scroll className="table-frame" label="Recipients">
          <table>
            <thead>
              <tr>
                {HEADS.map((head) => (
                  <th key={head}>{head}</th>
                ))}
              </tr>
            </thead>
            <tbody>
              {shown.map((one) => (
                <tr key={one.place}>
                  {cellsOf(one).map((text, column) => (
                    <td key={HEADS[column]}>{text}</td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </Scroll>
      )}
      <p className="quiet" role="status">
        {found.length === 0
          ? 'Nobody like that.'
          : `${shown.length.toLocaleString()} of ${found.length.toLocaleString()} shown.`}
      </p>
    </>
  );
}

const HEADS = ['Address', 'Name', 'Company', 'Left out'];

function cellsOf({ email, name, company, left_out }: Recipient): string[] {
  return [email, name ?? '', company ?? '', left_out ?? ''];
}

/** Hands a file over that is made here: nothing else may be asked of the service without the token. */
function download(recipients: readonly Recipient[]): void {
  const file = new Blob([toCsv([HEADS, ...recipients.map(cellsOf)])], { type: 'text/csv' });
  const link = document.createElement('a');
  link.href = URL.createObjectURL(file);
  link.download = 'recipients.csv';
  link.click();
  URL.revokeObjectURL(link.href);
}
