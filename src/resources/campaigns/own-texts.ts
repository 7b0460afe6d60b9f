/** The rows of texts that were written for one lead each, as letters are made of them. */

import { sql } from 'kysely';
import type { WorkspaceTransaction } from '../../db/database.ts';
import type { Content, ContentStep, OwnText } from './content.ts';

/** Whether leads get texts of their own in this step. */
export function isPersonal(step: Pick<ContentStep, 'variants'>): boolean {
  return step.variants.some(({ personal }) => personal === true);
}

/** The texts that are there, by the lead's id in the campaign and the step; nothing is read where the content asks for none. */
export async function ownTextsWithin(
  tx: WorkspaceTransaction,
  content: Content,
  leads: readonly { campaign_lead_id: string | null }[],
): Promise<Map<string, Map<number, OwnText>>> {
  const texts = new Map<string, Map<number, OwnText>>();
  if (!content.steps.some(isPersonal)) return texts;
  const ids = leads.flatMap(({ campaign_lead_id: id }) => id ?? []);
  const { rows } = await sql<{
    campaign_lead_id: string;
    step: number;
    variant_label: string;
    subject: string;
    body: string;
    lead_fingerprint: string | null;
    step_fingerprint: string | null;
    reviewed: boolean;
  }>`
    select campaign_lead_id, step, variant_label, subject, body, lead_fingerprint, step_fingerprint,
           reviewed_at is not null as reviewed
      from campaign_texts where campaign_lead_id = any(${ids}::uuid[]) and status = 'completed'`.execute(tx);
  for (const row of rows) {
    const ofLead = texts.get(row.campaign_lead_id) ?? new Map<number, OwnText>();
    ofLead.set(row.step, {
      label: row.variant_label,
      subject: row.subject,
      body: row.body,
      leadFingerprint: row.lead_fingerprint ?? '',
      stepFingerprint: row.step_fingerprint ?? '',
      reviewed: row.reviewed,
    });
    texts.set(row.campaign_lead_id, ofLead);
  }
  return texts;
}
