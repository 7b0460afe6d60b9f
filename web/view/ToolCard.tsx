/** A tool call as one line: what it does, how far it is, what came of it; arguments and result on demand. */

import { memo, useState } from 'react';
import type { ToolPart } from '../../src/client/events.ts';
import { toolName, toolSummary } from '../logic/tools.ts';
import { Icon, type IconName } from './Icon.tsx';
import { ToolDetails } from './ToolDetails.tsx';

export interface Progress {
  done: number;
  total: number;
  note: string;
}

const STATUS: Record<ToolPart['status'], { icon: IconName; words: string }> = {
  running: { icon: 'dots', words: 'running' },
  ok: { icon: 'check', words: 'done' },
  error: { icon: 'warning', words: 'failed' },
  rejected: { icon: 'close', words: 'rejected' },
  cancelled: { icon: 'blocked', words: 'not carried out' },
  unknown: { icon: 'warning', words: 'outcome unknown' },
};

export const ToolCard = memo(function ToolCard({
  part,
  progress,
}: {
  part: ToolPart;
  progress?: Progress | undefined;
}) {
  const status = STATUS[part.status];
  const summary = toolSummary(part);
  const [opened, setOpened] = useState(false);
  return (
    <details className={`tool tool-${part.status}`} onToggle={() => setOpened(true)}>
      <summary>
        <span className="tool-icon">
          {part.status === 'running' ? <span className="spinner" /> : <Icon name={status.icon} />}
        </span>
        <span className="tool-name">{toolName(part)}</span>
        <span className="sr-only">({status.words})</span>
        <span className="tool-summary">{progress === undefined ? summary : progressWords(progress)}</span>
        {progress === undefined ? null : (
          <progress
            value={progress.done}
            max={Math.max(1, progress.total)}
            aria-label={`${toolName(part)}: progress`}
          />
        )}
        <span className="tool-chevron">
          <Icon name="down" />
        </span>
      </summary>
      {opened ? <ToolDetails part={part} /> : null}
    </details>
  );
});

function progressWords({ done, total, note }: Progress): string {
  return `${done.toLocaleString()} of ${total.toLocaleString()}${note === '' ? '' : ` · ${note}`}`;
}
