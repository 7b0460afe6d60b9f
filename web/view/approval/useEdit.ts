/** An edit of a proposal in the making: typed values, and what the service says they would come to. */

import { useEffect, useMemo, useRef, useState } from 'react';
import type { Client } from '../../../src/client/client.ts';
import { ClientError } from '../../../src/client/errors.ts';
import type { Approval, ProposalPreview } from '../../../src/client/events.ts';
import { type Field, fieldsOf, fromInput, toInput } from '../../logic/fields.ts';
import { faultOf } from '../../state/faults.ts';

const TYPING_PAUSE_MS = 400;

export interface Edit {
  fields: readonly Field[];
  /** As the inputs show them. */
  inputs: Readonly<Record<string, string>>;
  change(name: string, input: string): void;
  /** Whether anything differs from the proposal. */
  changed: boolean;
  /** `ready`: the service has computed the card for these values. */
  phase: 'same' | 'checking' | 'ready' | 'faulty';
  preview: ProposalPreview | null;
  /** What is wrong, by field; under the empty name what concerns the whole. */
  faults: Readonly<Record<string, string>>;
  discard(): void;
}

export function useEdit(approval: Approval, client: Client): Edit {
  const { args, args_schema, approval_id, thread_id } = approval;
  const fields = useMemo(() => fieldsOf(args_schema, args), [args_schema, args]);
  const original = useMemo(
    () => Object.fromEntries(fields.map((field) => [field.name, toInput(field, args[field.name])])),
    [fields, args],
  );
  const [inputs, setInputs] = useState(original);
  const [answer, setAnswer] = useState<{
    key: string;
    preview: ProposalPreview | null;
    faults: Edit['faults'];
  } | null>(null);
  const { values, faults: ownFaults } = useMemo(
    () => read(fields, inputs, original, args),
    [fields, inputs, original, args],
  );
  const changed = fields.some((field) => inputs[field.name] !== original[field.name]);
  const key = JSON.stringify(values);
  const sound = Object.keys(ownFaults).length === 0;
  const wanted = changed && sound ? key : null;
  const latest = useRef(wanted);
  latest.current = wanted;

  useEffect(() => {
    if (wanted === null) return;
    const timer = setTimeout(async () => {
      const told = await ask(client, thread_id, approval_id, JSON.parse(wanted));
      if (latest.current === wanted) setAnswer({ key: wanted, ...told });
    }, TYPING_PAUSE_MS);
    return () => clearTimeout(timer);
  }, [wanted, client, thread_id, approval_id]);

  const current = answer?.key === key ? answer : null;
  const faults = sound ? (current?.faults ?? {}) : ownFaults;
  const phase = !changed
    ? 'same'
    : Object.keys(faults).length > 0
      ? 'faulty'
      : current?.preview != null
        ? 'ready'
        : 'checking';
  return {
    fields,
    inputs,
    change: (name, input) => setInputs((before) => ({ ...before, [name]: input })),
    changed,
    phase,
    preview: changed ? (current?.preview ?? null) : null,
    faults: changed ? faults : {},
    discard: () => setInputs(original),
  };
}

/** The values of the inputs; what was not touched stays as it was proposed, to the letter. */
function read(
  fields: readonly Field[],
  inputs: Record<string, string>,
  original: Record<string, string>,
  args: Record<string, unknown>,
): { values: Record<string, unknown>; faults: Record<string, string> } {
  const values: Record<string, unknown> = { ...args };
  const faults: Record<string, string> = {};
  for (const field of fields) {
    const input = inputs[field.name] ?? '';
    if (input === original[field.name]) continue;
    try {
      const value = fromInput(field, input);
      if (value === undefined) delete values[field.name];
      else values[field.name] = value;
    } catch (error) {
      faults[field.name] = error instanceof Error ? error.message : String(error);
    }
  }
  return { values, faults };
}

async function ask(
  client: Client,
  threadId: string,
  approvalId: string,
  args: Record<string, unknown>,
): Promise<{ preview: ProposalPreview | null; faults: Record<string, string> }> {
  try {
    return { preview: await client.preview(threadId, approvalId, args), faults: {} };
  } catch (error) {
    return { preview: null, faults: faultsOf(error) };
  }
}

/** The faults of a 422 by field. */
function faultsOf(error: unknown): Record<string, string> {
  const details =
    error instanceof ClientError && typeof error.body === 'object' && error.body !== null
      ? ((error.body as { details?: { loc: (string | number)[]; msg: string }[] }).details ?? [])
      : [];
  const faults = Object.fromEntries(details.map(({ loc, msg }) => [String(loc[2] ?? ''), msg]));
  return details.length > 0 ? faults : { '': faultOf(error).message };
}
