/** All tools of the chat agent; a new one is a sibling file and a line here. */

import type { Database } from '../db/database.ts';
import type { Campaigns } from '../resources/campaigns/campaigns.ts';
import type { Launches } from '../resources/campaigns/launch/launches.ts';
import type { CampaignStatistics } from '../resources/campaigns/stats.ts';
import type { CampaignTexts } from '../resources/campaigns/texts.ts';
import type { Credits } from '../resources/credits/credits.ts';
import type { Datasets } from '../resources/datasets/datasets.ts';
import type { EmailFinder } from '../resources/email-finder/email-finder.ts';
import type { EmailVerification } from '../resources/email-verifier/email-verifier.ts';
import type { LeadFinder } from '../resources/lead-finder/lead-finder.ts';
import type { Leads } from '../resources/leads/leads.ts';
import type { Mailer } from '../resources/outbox/mailer.ts';
import type { Outbox } from '../resources/outbox/outbox.ts';
import type { Personalization } from '../resources/personalization/personalization.ts';
import type { Replies } from '../resources/replies/replies.ts';
import type { SenderProfiles } from '../resources/sender-profiles/sender-profiles.ts';
import type { Suppression } from '../resources/suppression/suppression.ts';
import type { Templates } from '../resources/templates/templates.ts';
import { createAddLeadsToCampaignTool } from './add-leads-to-campaign.ts';
import { createCampaignReadTools } from './campaign-reads.ts';
import { createCreateCampaignTool } from './create-campaign.ts';
import { createFindEmailTool } from './find-email.ts';
import { createFindLeadsTool } from './find-leads.ts';
import { createGenerateDraftsTool } from './generate-drafts.ts';
import { createGetCreditBalanceTool } from './get-credit-balance.ts';
import { createLaunchCampaignTools } from './launch-campaign.ts';
import { createListDatasetsTool } from './list-datasets.ts';
import { createListOutboxTool } from './list-outbox.ts';
import { createListRepliesTool } from './list-replies.ts';
import { createListSenderProfilesTool } from './list-sender-profiles.ts';
import { createListTemplatesTool } from './list-templates.ts';
import { createPauseCampaignTool } from './pause-campaign.ts';
import { createPersonalizeEmailTool } from './personalize-email.ts';
import { createSavePromptTool } from './save-prompt.ts';
import { createSearchLeadsTool } from './search-leads.ts';
import { createSendEmailTool } from './send-email.ts';
import { createSuppressEmailTool } from './suppress-email.ts';
import type { Tool } from './tool.ts';
import { createUpdateCampaignTool } from './update-campaign.ts';
import { createVerifyEmailTool } from './verify-email.ts';

export interface ToolNeeds {
  database: Database;
  /** How long a step waits for a database that is away. */
  leaseSeconds: number;
  datasets: Datasets;
  leads: Leads;
  senderProfiles: SenderProfiles;
  templates: Templates;
  credits: Credits;
  leadFinder: LeadFinder;
  emailFinder: EmailFinder;
  emailVerification: EmailVerification;
  outbox: Outbox;
  personalization: Personalization;
  replies: Replies;
  suppression: Suppression;
  mailer: Mailer;
  campaigns: Campaigns;
  launches: Launches;
  campaignStats: CampaignStatistics;
  campaignTexts: CampaignTexts;
  now(): number;
}

export function createTools(needs: ToolNeeds): Tool[] {
  return [
    createListDatasetsTool(needs),
    createSearchLeadsTool(needs),
    createFindLeadsTool(needs),
    createFindEmailTool(needs),
    createVerifyEmailTool(needs),
    createListSenderProfilesTool(needs),
    createListTemplatesTool(needs),
    createGetCreditBalanceTool(needs),
    createListOutboxTool(needs),
    createListRepliesTool(needs),
    createPersonalizeEmailTool(needs),
    createSavePromptTool(needs),
    createSuppressEmailTool(needs),
    createSendEmailTool({ ...needs, senders: needs.senderProfiles }),
    ...createCampaignReadTools(needs),
    createCreateCampaignTool(needs),
    createUpdateCampaignTool(needs),
    createAddLeadsToCampaignTool(needs),
    createGenerateDraftsTool(needs),
    createPauseCampaignTool(needs),
    ...createLaunchCampaignTools(needs),
  ];
}
