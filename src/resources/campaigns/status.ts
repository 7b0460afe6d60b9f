/** The states of a campaign and which acts each allows (contract, x-state-machines.campaign). */

import { ServiceError } from '../../errors.ts';
import type { CampaignStatus } from './schema.ts';

/**
 * draft → launching → scheduled | active (a launch passes `launching` inside its transaction); scheduled → active at
 * its start; active → draining → completed; scheduled, active and draining → paused → scheduled | active. Adding leads
 * takes a draining campaign back to active; a launch that is undone takes it back to draft.
 */
const ALLOWED = {
  launch: ['draft'],
  pause: ['scheduled', 'active', 'draining'],
  resume: ['paused'],
  'undo the launch of': ['scheduled', 'active', 'draining', 'paused'],
  'change its content or schedule': ['draft', 'paused'],
  'add leads to': ['draft', 'scheduled', 'active', 'draining', 'paused'],
} as const satisfies Record<string, readonly CampaignStatus[]>;

/** Throws `CAMPAIGN_STATE` with the state where the act is not possible in it. */
export function requireStatus(status: CampaignStatus, act: keyof typeof ALLOWED): void {
  const allowed: readonly CampaignStatus[] = ALLOWED[act];
  if (allowed.includes(status)) return;
  throw new ServiceError(
    'CAMPAIGN_STATE',
    `The campaign is ${status}; one can ${act} a campaign only while it is ${allowed.join(' or ')}.`,
    { facts: { status, allowed } },
  );
}

/** Whether its launch could be undone, if nothing was sent yet. */
export function isUndoable(status: CampaignStatus): boolean {
  const allowed: readonly CampaignStatus[] = ALLOWED['undo the launch of'];
  return allowed.includes(status);
}

/** Whether what would be sent is approved already, so that a change of recipients or content is an act of sending. */
export function isPastDraft(status: CampaignStatus): boolean {
  return status !== 'draft';
}
