/** Where a person writes: drafts are kept, a composing Enter never sends, a dropped CSV is looked into, Stop stops. */

import {
  type ClipboardEvent,
  type KeyboardEvent,
  memo,
  useCallback,
  useEffect,
  useId,
  useLayoutEffect,
  useRef,
  useState,
} from 'react';
import { CsvImport } from './CsvImport.tsx';
import { Icon } from './Icon.tsx';
import { contextLabels } from './Message.tsx';
import { useModel, useStore } from './model.tsx';

const MOST_CHARACTERS = 10_000;
const NEAR_THE_END = 9_000;
const CSV = /\.(csv|tsv|txt)$/i;

export interface ComposerProps {
  threadId: string | null;
  busy: boolean;
  stoppable: boolean;
  stopping: boolean;
  waiting: number;
  archived: boolean;
  /** A text to go on writing; a new object each time. */
  given: { text: string } | null;
  /** A file that was dropped elsewhere; a new object each time. */
  file: { file: File } | null;
}

export const Composer = memo(function Composer({
  threadId,
  busy,
  stoppable,
  stopping,
  waiting,
  archived,
  given,
  file,
}: ComposerProps) {
  const model = useModel();
  const slot = `draft:${threadId ?? 'new'}`;
  const [text, setText] = useState(() => model.memory.read<string>(slot) ?? '');
  const field = useRef<HTMLTextAreaElement>(null);
  const picker = useRef<HTMLInputElement>(null);
  const composing = useRef(false);
  const id = useId();
  const attached = useStore(model.store, (state) => state.attached);
  const host = useStore(model.store, (state) => state.hostContext);
  const importing = useStore(model.upload.store, (state) => state.phase !== 'none');
  const thread = useStore(model.store, (state) => state.thread);

  const kept = useRef(slot);
  useEffect(() => {
    if (kept.current === slot) return;
    // A new conversation got its id: what is being written moves with it.
    model.memory.write(kept.current, null);
    kept.current = slot;
    model.memory.write(slot, text === '' ? null : text);
  }, [slot, model, text]);

  const write = useCallback(
    (value: string) => {
      setText(value);
      model.memory.write(kept.current, value === '' ? null : value);
    },
    [model],
  );

  useEffect(() => {
    if (given === null) return;
    write(given.text);
    field.current?.focus();
  }, [given, write]);

  useEffect(() => {
    if (file !== null) void model.upload.take(file.file);
  }, [file, model]);

  // Grows with what is written, up to what the style sheet allows.
  useLayoutEffect(() => {
    const element = field.current;
    if (element === null) return;
    element.style.height = 'auto';
    element.style.height = `${element.scrollHeight + 2}px`;
  });

  function submit(): void {
    const message = text.trim();
    if (message === '' || busy || archived || message.length > MOST_CHARACTERS) return;
    if (model.send(message)) write('');
  }

  function press(event: KeyboardEvent<HTMLTextAreaElement>): void {
    // 229: the key belongs to an input method, also where the browser has ended the composition already.
    const typing = composing.current || event.nativeEvent.isComposing || event.keyCode === 229;
    if (event.key === 'Enter' && !event.shiftKey && !event.altKey && !typing) {
      event.preventDefault();
      submit();
    }
    if (event.key === 'Escape' && stoppable && !typing) {
      event.preventDefault();
      void thread.stop();
    }
  }

  function paste(event: ClipboardEvent): void {
    const [first] = event.clipboardData.files;
    if (first === undefined || !CSV.test(first.name)) return;
    event.preventDefault();
    void model.upload.take(first);
  }

  const chips = [
    ...Object.entries(host ?? {}).map(([name, value]) => ({
      label: contextLabels({ [name]: value }).join(''),
      remove: () => model.setHostContext(without(host ?? {}, name)),
    })),
    ...(attached === null
      ? []
      : contextLabels({ attached_dataset: attached }).map((label) => ({
          label,
          remove: () => model.attach(null),
        }))),
  ];
  const long = text.length > NEAR_THE_END;
  return (
    <div className="composer">
      {importing ? <CsvImport onDone={() => field.current?.focus()} /> : null}
      {chips.length === 0 ? null : (
        <ul className="chips" aria-label="Sent along with your message">
          {chips.map(({ label, remove }) => (
            <li key={label} className="chip">
              <Icon name="file" />
              {label}
              <button type="button" aria-label={`Remove ${label}`} onClick={remove}>
                <Icon name="close" />
              </button>
            </li>
          ))}
        </ul>
      )}
      <div className="composer-box">
        <button
          type="button"
          className="icon-button"
          aria-label="Attach a CSV of leads"
          title="Attach a CSV of leads"
          onClick={() => picker.current?.click()}
        >
          <Icon name="clip" />
        </button>
        <input
          ref={picker}
          type="file"
          accept=".csv,.tsv,.txt,text/csv"
          hidden
          aria-hidden="true"
          tabIndex={-1}
          onChange={(event) => {
            const [first] = event.target.files ?? [];
            if (first !== undefined) void model.upload.take(first);
            event.target.value = '';
          }}
        />
        <label className="sr-only" htmlFor={id}>
          Message
        </label>
        <textarea
          id={id}
          ref={field}
          rows={1}
          value={text}
          disabled={archived}
          placeholder={
            archived
              ? 'This conversation is archived. Restore it to go on.'
              : waiting > 0
                ? 'Or say what to change'
                : 'What shall Overture do?'
          }
          aria-describedby={long ? `${id}-count` : undefined}
          onChange={(event) => write(event.target.value)}
          onKeyDown={press}
          onPaste={paste}
          onCompositionStart={() => {
            composing.current = true;
          }}
          onCompositionEnd={() => {
            composing.current = false;
          }}
        />
        {stoppable ? (
          <button
            key="stop"
            type="button"
            className="button round stop"
            aria-label="Stop the answer"
            title="Stop (Esc)"
            disabled={stopping}
            onClick={() => {
              void thread.stop();
              field.current?.focus();
            }}
          >
            <Icon name="stop" />
          </button>
        ) : (
          <button
            key="send"
            type="button"
            className="button round primary"
            aria-label="Send"
            title="Send (Enter)"
            disabled={text.trim() === '' || busy || archived || text.length > MOST_CHARACTERS}
            onClick={() => {
              submit();
              field.current?.focus();
            }}
          >
            <Icon name="send" />
          </button>
        )}
      </div>
      {long ? (
        <p className={text.length > MOST_CHARACTERS ? 'count over' : 'count'} id={`${id}-count`}>
          {text.length.toLocaleString()} of {MOST_CHARACTERS.toLocaleString()} characters
        </p>
      ) : null}
    </div>
  );
});

function without(context: Record<string, unknown>, name: string): Record<string, unknown> | null {
  const { [name]: _removed, ...rest } = context;
  return Object.keys(rest).length === 0 ? null : rest;
}
