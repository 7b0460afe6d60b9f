/** All tools of the chat agent; a new one is a sibling file and a line here. */

import type { Database } from '../db/database.ts';
import type { Credits } from '../resources/credits/credits.ts';
import type { Datasets } from '../resources/datasets/datasets.ts';
import type { EmailFinder } from '../resources/email-finder/email-finder.ts';
import type { LeadFinder } from '../resources/lead-finder/lead-finder.ts';
import type { Leads } from '../resources/leads/leads.ts';
import type { Mailer } from '../resources/outbox/mailer.ts';
import type { Outbox } from '../resources/outbox/outbox.ts';
import type { Personalization } from '../resources/personalization/personalization.ts';
import type { SenderProfiles } from '../resources/sender-profiles/sender-profiles.ts';
import type { Suppression } from '../resources/suppression/suppression.ts';
import type { Templates } from '../resources/templates/templates.ts';
import { createFindEmailTool } from './find-email.ts';
import { createFindLeadsTool } from './find-leads.ts';
import { createGetCreditBalanceTool } from './get-credit-balance.ts';
import { createListDatasetsTool } from './list-datasets.ts';
import { createListOutboxTool } from './list-outbox.ts';
import { createListSenderProfilesTool } from './list-sender-profiles.ts';
import { createListTemplatesTool } from './list-templates.ts';
import { createPersonalizeEmailTool } from './personalize-email.ts';
import { createSearchLeadsTool } from './search-leads.ts';
import { createSendEmailTool } from './send-email.ts';
import { createSuppressEmailTool } from './suppress-email.ts';
import type { Tool } from './tool.ts';

export interface ToolNeeds {
  database: Database;
  datasets: Datasets;
  leads: Leads;
  senderProfiles: SenderProfiles;
  templates: Templates;
  credits: Credits;
  leadFinder: LeadFinder;
  emailFinder: EmailFinder;
  outbox: Outbox;
  personalization: Personalization;
  suppression: Suppression;
  mailer: Mailer;
}

export function createTools(needs: ToolNeeds): Tool[] {
  return [
    createListDatasetsTool(needs),
    createSearchLeadsTool(needs),
    createFindLeadsTool(needs),
    createFindEmailTool(needs),
    createListSenderProfilesTool(needs),
    createListTemplatesTool(needs),
    createGetCreditBalanceTool(needs),
    createListOutboxTool(needs),
    createPersonalizeEmailTool(needs),
    createSuppressEmailTool(needs),
    createSendEmailTool({ ...needs, senders: needs.senderProfiles }),
  ];
}
