/** What the checks before an act have found, worst first; words and an icon, never colour alone. */

import type { Warning } from '../../../src/client/events.ts';
import { type Grade, gradeOf } from '../../logic/card.ts';
import { Icon, type IconName } from '../Icon.tsx';

export const GRADES: Record<Grade, { icon: IconName; word: string }> = {
  blocked: { icon: 'blocked', word: 'Blocked' },
  warning: { icon: 'warning', word: 'Warning' },
  note: { icon: 'note', word: 'Note' },
  ok: { icon: 'check', word: 'OK' },
};

export function Checks({ warnings }: { warnings: readonly Warning[] }) {
  return (
    <ul className="checks" aria-label="Checks">
      {warnings.length === 0 ? (
        <Check grade="ok" message="The checks found nothing to think about." />
      ) : (
        warnings.map((warning) => (
          <Check
            key={`${warning.code} ${warning.message}`}
            grade={gradeOf(warning)}
            message={warning.message}
          />
        ))
      )}
    </ul>
  );
}

function Check({ grade, message }: { grade: Grade; message: string }) {
  return (
    <li className={`check check-${grade}`}>
      <Icon name={GRADES[grade].icon} />
      <strong>{GRADES[grade].word}</strong>
      <span>{message}</span>
    </li>
  );
}
