/** What will be sent, one mail at a time; the one that would look worst is a click away. */

import { type ReactNode, useState } from 'react';
import type { Preview } from '../../../src/client/events.ts';
import { nameIn } from '../../logic/card.ts';
import { captionsOf } from '../../logic/facts.ts';
import { Icon } from '../Icon.tsx';
import { isUnfilled, MailView } from '../MailView.tsx';

export interface PreviewsProps {
  previews: readonly Preview[];
  /** Whose mails these are, in the service's words. */
  caption: string | null;
  /** Whether an edit is being checked, so that they may not be the last word. */
  checking: boolean;
  /** What stands below one of them. */
  foot?(index: number): ReactNode;
}

export function Previews({ previews, caption, checking, foot }: PreviewsProps) {
  const [at, setAt] = useState(0);
  const index = Math.min(at, previews.length - 1);
  const preview = previews[index];
  if (preview === undefined) return null;
  const captions = captionsOf(caption);
  const unfilled = previews.findIndex(isUnfilled);
  const worst = unfilled >= 0 ? unfilled : captions.findIndex((words) => words.includes('missing'));
  const name = preview.to === undefined ? '' : nameIn(preview.to);
  const place = previews.length === 1 ? 'Preview' : `Preview ${index + 1} of ${previews.length}`;
  const words = previews.length === 1 ? [place] : [place, name, captions[index] ?? ''];
  return (
    <section
      className={checking ? 'preview checking' : 'preview'}
      aria-label="What will be sent"
      aria-busy={checking}
    >
      <header>
        <span>{checking ? 'Checking…' : words.filter((one) => one !== '').join(' · ')}</span>
        {worst >= 0 && worst !== index ? (
          <button type="button" className="button small" onClick={() => setAt(worst)}>
            <Icon name="warning" /> Worst case
          </button>
        ) : null}
        {previews.length > 1 ? (
          <span className="pager">
            <Turn label="Previous mail" icon="left" to={index - 1} last={previews.length - 1} go={setAt} />
            <Turn label="Next mail" icon="right" to={index + 1} last={previews.length - 1} go={setAt} />
          </span>
        ) : null}
      </header>
      <MailView mail={preview} />
      {checking ? null : foot?.(index)}
    </section>
  );
}

interface TurnProps {
  label: string;
  icon: 'left' | 'right';
  to: number;
  last: number;
  go(to: number): void;
}

/** It stays where it is at either end, so that the focus does. */
function Turn({ label, icon, to, last, go }: TurnProps) {
  const over = to < 0 || to > last;
  return (
    <button
      type="button"
      className="icon-button"
      aria-label={label}
      aria-disabled={over}
      onClick={() => {
        if (!over) go(to);
      }}
    >
      <Icon name={icon} />
    </button>
  );
}
