/** What an edit changed: old and new of every argument that differs. */

import type { Approval } from '../../../src/client/events.ts';
import { diffWords, fold } from '../../logic/diff.ts';
import { fieldsOf, toInput, unsetOf } from '../../logic/fields.ts';

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
              <del>{before || unsetOf(field)}</del>
              <ins>{after || unsetOf(field)}</ins>
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
