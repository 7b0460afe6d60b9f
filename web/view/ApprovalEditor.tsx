/** The typed fields in which a proposal is edited, and what the edits change. */

import { useId } from 'react';
import type { Approval } from '../../src/client/events.ts';
import { diffWords, fold } from '../logic/diff.ts';
import { type Field, fieldsOf, toInput } from '../logic/fields.ts';
import { useFocusWhen } from './model.tsx';
import type { Edit } from './useEdit.ts';

export function ApprovalEditor({ edit }: { edit: Edit }) {
  const plain = edit.fields.filter((field) => !field.technical);
  const technical = edit.fields.filter((field) => field.technical);
  const form = useFocusWhen<HTMLFieldSetElement>(false);
  return (
    <fieldset className="editor" ref={form}>
      <legend>Edit before you approve</legend>
      {plain.map((field, place) => (
        <FieldView key={field.name} field={field} edit={edit} first={place === 0} />
      ))}
      {technical.length === 0 ? null : (
        <details className="technical">
          <summary>More fields</summary>
          {technical.map((field) => (
            <FieldView key={field.name} field={field} edit={edit} first={false} />
          ))}
        </details>
      )}
      {edit.faults[''] === undefined ? null : (
        <p className="field-fault" role="alert">
          {edit.faults['']}
        </p>
      )}
    </fieldset>
  );
}

function FieldView({ field, edit, first }: { field: Field; edit: Edit; first: boolean }) {
  const id = useId();
  const value = edit.inputs[field.name] ?? '';
  const fault = edit.faults[field.name];
  const input = useFocusWhen<HTMLInputElement & HTMLTextAreaElement & HTMLSelectElement>(first);
  const common = {
    id,
    ref: input,
    value,
    'aria-invalid': fault !== undefined,
    'aria-describedby': fault === undefined ? undefined : `${id}-fault`,
    onChange: (event: { target: { value: string } }) => edit.change(field.name, event.target.value),
  };
  return (
    <div className={field.kind === 'boolean' ? 'field field-boolean' : 'field'}>
      <label htmlFor={id}>{field.label}</label>
      {field.kind === 'text' || field.kind === 'list' || field.kind === 'json' ? (
        <textarea
          {...common}
          rows={field.kind === 'text' ? 8 : 4}
          maxLength={field.maxLength}
          className={field.kind}
        />
      ) : field.kind === 'choice' ? (
        <select {...common}>
          {field.required ? null : <option value="">(not set)</option>}
          {field.choices.map((choice) => (
            <option key={choice}>{choice}</option>
          ))}
        </select>
      ) : field.kind === 'boolean' ? (
        <input
          id={id}
          type="checkbox"
          checked={value === 'true'}
          onChange={(event) => edit.change(field.name, String(event.target.checked))}
        />
      ) : (
        <input
          {...common}
          type={field.kind === 'number' ? 'number' : 'text'}
          min={field.minimum}
          max={field.maximum}
          step={field.kind === 'number' ? (field.whole ? 1 : 'any') : undefined}
          maxLength={field.kind === 'line' ? field.maxLength : undefined}
          autoComplete="off"
        />
      )}
      {field.kind === 'list' ? <p className="quiet">One a line.</p> : null}
      {fault === undefined ? null : (
        <p className="field-fault" id={`${id}-fault`} role="alert">
          {fault}
        </p>
      )}
    </div>
  );
}

/** Old and new of every argument that differs. */
export function EditDiff({
  approval,
  args,
  title,
}: {
  approval: Approval;
  args: Record<string, unknown>;
  title: string;
}) {
  const fields = fieldsOf(approval.args_schema, { ...approval.args, ...args });
  const changes = fields
    .map((field) => ({
      field,
      before: toInput(field, approval.args[field.name]),
      after: toInput(field, args[field.name]),
    }))
    .filter(({ before, after }) => before !== after);
  if (changes.length === 0) return null;
  return (
    <section className="edits" aria-label={title}>
      <h3>{title}</h3>
      {changes.map(({ field, before, after }) => (
        <div key={field.name} className="edit">
          <p className="edit-field">{field.label}</p>
          {field.kind === 'text' ? (
            <WordDiff before={before} after={after} />
          ) : (
            <p className="edit-whole">
              <del>{before === '' ? '(not set)' : before}</del>
              <ins>{after === '' ? '(not set)' : after}</ins>
            </p>
          )}
        </div>
      ))}
    </section>
  );
}

function WordDiff({ before, after }: { before: string; after: string }) {
  const pieces = fold(diffWords(before, after)).map((piece, place) => ({ ...piece, place }));
  return (
    <p className="edit-words">
      {pieces.map(({ kind, text, place }) =>
        kind === 'old' ? (
          <del key={place}>{text}</del>
        ) : kind === 'new' ? (
          <ins key={place}>{text}</ins>
        ) : (
          <span key={place}>{text}</span>
        ),
      )}
    </p>
  );
}
