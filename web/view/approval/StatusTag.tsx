/** How a card stands, in a word and an icon. */

import type { Approval } from '../../../src/client/events.ts';
import { Icon, type IconName } from '../Icon.tsx';

type Tag = readonly [words: string, tone: 'wait' | 'good' | 'bad' | 'quiet', icon: IconName];

const PROPOSAL: Record<Approval['status'], Tag> = {
  pending: ['Needs your approval', 'wait', 'clock'],
  approved: ['Approved', 'good', 'check'],
  rejected: ['Rejected', 'quiet', 'close'],
  expired: ['Expired', 'quiet', 'clock'],
  superseded: ['Given up', 'quiet', 'close'],
};

const OUTCOME: Record<Approval['status'], Tag> = {
  ...PROPOSAL,
  pending: ['Outcome unknown', 'bad', 'warning'],
  approved: ['Answered', 'good', 'check'],
};

export function StatusTag({ approval }: { approval: Approval }) {
  const [words, tone, icon] = (approval.kind === 'outcome' ? OUTCOME : PROPOSAL)[approval.status];
  return (
    <span className={`tag tag-${tone}`}>
      <Icon name={icon} />
      {words}
    </span>
  );
}
