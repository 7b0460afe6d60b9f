/** What a tool was asked and what it answered: as rows, mail or figures where they are such, and raw in any case. */

import type { ToolPart } from '../../src/client/events.ts';
import { labelOf } from '../logic/fields.ts';
import { cellOf, columnsOf, funnelOf, mailOf, rowsOf } from '../logic/tools.ts';
import { Funnel } from './charts.tsx';
import { MailView } from './MailView.tsx';
import { Scroll } from './Scroll.tsx';

const ROWS_SHOWN = 20;

export function ToolDetails({ part }: { part: ToolPart }) {
  const mail = mailOf(part.result);
  const funnel = funnelOf(part.result);
  const found = mail === null && funnel === null ? rowsOf(part.result) : null;
  return (
    <div className="tool-details">
      {part.error === undefined ? null : <p className="tool-error">{part.error.message}</p>}
      <Arguments args={part.args} />
      {mail === null ? null : <MailView mail={mail} />}
      {funnel === null ? null : <Funnel stages={funnel} label="Figures" />}
      {found === null || found.rows.length === 0 ? null : <Rows rows={found.rows} total={found.total} />}
      {part.result === undefined ? null : (
        <details className="raw">
          <summary>Raw result</summary>
          <Scroll className="raw-text" label="Raw result">
            <pre>{JSON.stringify(part.result, null, 2)}</pre>
          </Scroll>
        </details>
      )}
    </div>
  );
}

function Arguments({ args }: { args: Record<string, unknown> }) {
  const entries = Object.entries(args);
  if (entries.length === 0) return null;
  return (
    <dl className="arguments">
      {entries.map(([name, value]) => (
        <div key={name}>
          <dt>{labelOf(name)}</dt>
          <dd>{typeof value === 'string' ? value : JSON.stringify(value)}</dd>
        </div>
      ))}
    </dl>
  );
}

function Rows({ rows, total }: { rows: Record<string, unknown>[]; total: number }) {
  const columns = columnsOf(rows);
  const shown = rows.slice(0, ROWS_SHOWN).map((row, place) => ({ row, place }));
  if (columns.length === 0) return null;
  return (
    <Scroll className="table-frame" label="Rows">
      <table>
        <thead>
          <tr>
            {columns.map((column) => (
              <th key={column} scope="col">
                {labelOf(column)}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {shown.map(({ row, place }) => (
            <tr key={place}>
              {columns.map((column) => (
                <td key={column}>{cellOf(row[column])}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
      {total > shown.length ? <p className="quiet">{(total - shown.length).toLocaleString()} more</p> : null}
    </Scroll>
  );
}
