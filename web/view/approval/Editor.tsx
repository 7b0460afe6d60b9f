/** The typed fields in which a proposal is edited. */

import { useId } from 'react';
import { type Field, unsetOf } from '../../logic/fields.ts';
import { useFocusWhen } from '../model.tsx';
import type { Edit } from './useEdit.ts';

export function Editor({ edit }: { edit: Edit }) {
  const plain = edit.fields.filter((field) => !field.technical);
  const technical = edit.fields.filter((field) => field.technical);
  return (
    <fieldset className="editor">
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
          placeholder={field.required ? undefined : unsetOf(field)}
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
