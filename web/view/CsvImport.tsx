/** A CSV of leads before and after its import: which column is what, the first rows, how many came in. */

import { labelOf } from '../logic/fields.ts';
import { type ImportResult, LEAD_FIELDS, type LeadField } from '../state/uploads.ts';
import { ShareBar } from './charts.tsx';
import { Icon } from './Icon.tsx';
import { useFocusWhen, useModel, useStore } from './model.tsx';
import { Scroll } from './Scroll.tsx';

/** Shown at once; the others on demand. */
const MAIN_FIELDS: readonly LeadField[] = ['email', 'first_name', 'last_name', 'company', 'title', 'city'];
const OTHER_FIELDS = LEAD_FIELDS.filter((field) => !MAIN_FIELDS.includes(field));

const REFUSALS: Record<string, string> = {
  missing_email: 'without an address',
  invalid_email: 'with an address that is none',
  duplicate_email: 'twice in the file',
  field_too_long: 'with a field that is too long',
};

export function CsvImport({ onDone }: { onDone(): void }) {
  const model = useModel();
  const { upload } = model;
  const { phase, file, info, mapping, result, fault } = useStore(upload.store, (state) => state);
  const heading = useFocusWhen<HTMLHeadingElement>(phase === 'shown' || phase === 'done');
  if (phase === 'none' || file === null) return null;

  function close(): void {
    upload.drop();
    onDone();
  }

  async function run(): Promise<void> {
    const imported = await upload.importNow();
    if (imported === null) return;
    model.attach({
      dataset_id: imported.dataset_id,
      dataset_name: imported.dataset_name,
      leads: imported.row_count,
    });
    model.announce(`${imported.row_count} leads were imported.`);
  }

  const mapped = Object.values(mapping).filter((column) => column != null).length;
  return (
    <section className="csv" aria-label={`Import of ${file.name}`}>
      <header>
        <h2 ref={heading} tabIndex={-1}>
          <Icon name="file" /> {file.name}
          <span className="quiet">
            {phase === 'reading'
              ? ' Reading…'
              : info === null
                ? ''
                : ` ${info.row_count.toLocaleString()} rows, ${mapped} of ${info.columns.length} columns mapped`}
          </span>
        </h2>
        <button type="button" className="icon-button" aria-label="Close the import" onClick={close}>
          <Icon name="close" />
        </button>
      </header>
      {fault === null ? null : (
        <p className="card-fault" role="alert">
          <Icon name="warning" /> {fault.message}
        </p>
      )}
      {phase === 'done' && result !== null ? (
        <Result result={result} close={close} />
      ) : info === null ? null : (
        <>
          <div className="mapping">
            {MAIN_FIELDS.map((field) => (
              <FieldChoice key={field} field={field} columns={info.columns} sample={info.sample_data} />
            ))}
          </div>
          <details className="technical">
            <summary>More fields</summary>
            <div className="mapping">
              {OTHER_FIELDS.map((field) => (
                <FieldChoice key={field} field={field} columns={info.columns} sample={info.sample_data} />
              ))}
            </div>
          </details>
          <details className="technical">
            <summary>First rows of the file</summary>
            <Scroll className="table-frame" label="First rows of the file">
              <table>
                <thead>
                  <tr>
                    {info.columns.map((column) => (
                      <th key={column} scope="col">
                        {column}
                      </th>
                    ))}
                  </tr>
                </thead>
                <tbody>
                  {info.sample_data.map((row) => (
                    <tr key={JSON.stringify(row)}>
                      {info.columns.map((column) => (
                        <td key={column}>{row[column]}</td>
                      ))}
                    </tr>
                  ))}
                </tbody>
              </table>
            </Scroll>
          </details>
          <div className="decide-buttons">
            {mapping.email == null ? (
              <p className="quiet">Choose the column that holds the e-mail addresses.</p>
            ) : null}
            <button type="button" className="button plain" onClick={close}>
              Cancel
            </button>
            <button
              type="button"
              className="button primary"
              disabled={phase === 'importing' || mapping.email == null}
              onClick={() => void run()}
            >
              {phase === 'importing' ? (
                <>
                  <span className="spinner" /> Importing…
                </>
              ) : (
                `Import ${info.row_count.toLocaleString()} rows`
              )}
            </button>
          </div>
        </>
      )}
    </section>
  );
}

function FieldChoice({
  field,
  columns,
  sample,
}: {
  field: LeadField;
  columns: readonly string[];
  sample: readonly Record<string, string>[];
}) {
  const { upload } = useModel();
  const column = useStore(upload.store, (state) => state.mapping[field] ?? null);
  const example = column === null ? '' : (sample.map((row) => row[column]).find((value) => value) ?? '');
  return (
    <label className={column === null ? 'field-choice none' : 'field-choice'}>
      <span>{labelOf(field)}</span>
      <select
        value={column ?? ''}
        onChange={(event) => upload.choose(field, event.target.value === '' ? null : event.target.value)}
      >
        <option value="">(none)</option>
        {columns.map((name) => (
          <option key={name}>{name}</option>
        ))}
      </select>
      <span className="quiet example">{example}</span>
    </label>
  );
}

function Result({ result, close }: { result: ImportResult; close(): void }) {
  const refusals = Object.entries(result.refused);
  return (
    <div className="csv-result">
      <p>
        <strong>{result.row_count.toLocaleString()} leads imported</strong>
        {result.refused_count > 0 ? `, ${result.refused_count.toLocaleString()} rows left out` : ''}. They are
        attached to your next message.
      </p>
      <ShareBar
        label="Import"
        shares={[
          { name: 'imported', value: result.row_count, tone: 'good' },
          { name: 'left out', value: result.refused_count, tone: 'bad' },
        ]}
      />
      {refusals.length === 0 ? null : (
        <ul className="quiet">
          {refusals.map(([reason, count]) => (
            <li key={reason}>
              {count.toLocaleString()} {REFUSALS[reason] ?? labelOf(reason).toLowerCase()}
            </li>
          ))}
        </ul>
      )}
      <div className="decide-buttons">
        <button type="button" className="button" onClick={close}>
          Done
        </button>
      </div>
    </div>
  );
}
