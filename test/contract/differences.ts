/** Where the service differs from the contract on purpose, and why. */

export interface Intended {
  reason: string;
  /** Points that the contract's authors read somewhere. */
  documented?: string[];
  /** Points that they guessed. */
  inferred?: string[];
}

export const INTENDED: Intended[] = [
  {
    reason: 'Ids are UUIDs; one that is none is refused with 422 and its name instead of 404.',
    documented: ['POST /api/v1/agent/chat body thread_id: takes only uuid'],
  },
  {
    reason: 'A user is who the session token names as `sub`, and identity providers may use any text.',
    documented: [
      'POST /api/v1/campaigns/ 201 user_id: is no uuid',
      'PATCH /api/v1/campaigns/{campaign_id} 200 user_id: is no uuid',
      'POST /api/v1/campaigns/{campaign_id}/launch 200 campaign.user_id: is no uuid',
    ],
    inferred: [
      'GET /api/v1/campaigns/ 200 campaigns[].user_id: is no uuid',
      'GET /api/v1/campaigns/{campaign_id} 200 user_id: is no uuid',
      'POST /api/v1/campaigns/{campaign_id}/pause 200 user_id: is no uuid',
      'POST /api/v1/campaigns/{campaign_id}/resume 200 user_id: is no uuid',
      'POST /api/v1/templates/ 201 user_id: is no uuid',
      'GET /api/v1/templates/ 200 templates[].user_id: is no uuid',
      'GET /api/v1/templates/{template_id} 200 user_id: is no uuid',
      'PATCH /api/v1/templates/{template_id} 200 user_id: is no uuid',
    ],
  },
  {
    reason: 'A launch has no body that could be malformed; what is not ready is 422 with the findings.',
    documented: ['POST /api/v1/campaigns/{campaign_id}/launch 400: is missing'],
  },
  {
    reason:
      'A commonality cites the fields it stands on, and one that stands on none fails the check; a score beside that would be invented.',
    documented: [
      'POST /api/v1/personalize/preview 200 commonality.confidence_score: is missing',
      'POST /api/v1/personalize/preview 200 commonality.rarity_score: is missing',
      'POST /api/v1/personalize/preview 200 commonality.relevance_score: is missing',
    ],
  },
  {
    reason: 'A word that is no day or no status is refused by name instead of matching nothing.',
    inferred: [
      'PATCH /api/v1/campaigns/{campaign_id} body send_days[]: takes only fri, mon, sat, sun, thu, tue, wed',
      'GET /api/v1/campaigns/{campaign_id}/leads query status_filter: takes only active, bounced, completed, failed, pending, replied, skipped, suppressed, unknown, unsubscribed',
    ],
  },
  {
    reason: 'A batch of the lead finder takes criteria as well as names, and a lead may have no name.',
    inferred: [
      'POST /api/v1/lead-finder/batch body names: may be left out',
      'GET /api/v1/lead-finder/batch/{session_id}/status 200 results[].name: may be null',
    ],
  },
  {
    reason:
      'A batch that has not ended has no dataset yet, and results are null where they were not asked for.',
    inferred: [
      'GET /api/v1/lead-finder/batch/{session_id}/status 200 dataset_id: may be null',
      'GET /api/v1/lead-finder/batch/{session_id}/status 200 results: may be null',
    ],
  },
  {
    reason: 'No lead is without an address here, so there is no dataset whose gaps could be filled.',
    inferred: ['POST /api/v1/email-finder/bulk body dataset_id: refuses string'],
  },
  {
    // No point of the comparison: a 403 is published for every route that a narrow key may not call.
    reason:
      'No operation is closed to a plan ("free tier gets 403"): what costs money is bounded by credits, and a plan only says how many requests a minute pass.',
  },
  {
    reason: 'A change that changes nothing is a mistake of the caller.',
    inferred: ['PATCH /api/v1/datasets/{dataset_id} body dataset_name: is required'],
  },
  {
    reason:
      'A session keeps no sender, so it must not look as if it did: the sender is chosen when it is sent.',
    inferred: ['POST /api/v1/sessions/create body sender_data: refuses object'],
  },
  {
    reason: 'Files are CSV; spreadsheets are exported as CSV first.',
    inferred: [
      'GET /api/v1/datasets/{dataset_id}/download query format: refuses excel',
      'POST /api/v1/upload/excel/preview: is missing',
      'POST /api/v1/sessions/{session_id}/upload/excel: is missing',
    ],
  },
  {
    reason: 'Links in mails are not rewritten, so there are no clicks to count.',
    inferred: ['GET /api/v1/campaigns/{campaign_id}/click-stats: is missing'],
  },
  {
    reason: 'Sessions only take a file; they are not yet worked on.',
    documented: [
      'POST /api/v1/sessions/datasets/{dataset_id}/new-session: is missing',
      'GET /api/v1/sessions/{session_id}/status: is missing',
      'GET /api/v1/sessions/{session_id}/jobs/{job_id}/status: is missing',
      'POST /api/v1/sessions/{session_id}/sender-data/bulk: is missing',
    ],
    inferred: [
      'POST /api/v1/sessions/{session_id}/sender-data: is missing',
      'POST /api/v1/sessions/{session_id}/leads: is missing',
      'POST /api/v1/sessions/{session_id}/process: is missing',
      'GET /api/v1/sessions/{session_id}/results: is missing',
      'DELETE /api/v1/sessions/{session_id}: is missing',
    ],
  },
  {
    reason:
      'Texts are written one at a time (preview); writing many, and keeping what was written, is not built yet.',
    documented: [
      'POST /api/v1/personalize/bulk: is missing',
      'POST /api/v1/personalize/preview/batch: is missing',
      'GET /api/v1/personalize/status/{job_id}: is missing',
      'GET /api/v1/personalize/result/{job_id}: is missing',
      'GET /api/v1/personalize/generations: is missing',
      'GET /api/v1/personalize/generations/runs/{run_id}: is missing',
      'GET /api/v1/personalize/generations/runs/{run_id}/leads: is missing',
    ],
    inferred: ['POST /api/v1/personalize: is missing', 'GET /api/v1/personalize/datasets: is missing'],
  },
  {
    reason:
      'Drafts of a batch are written by the tool generate_drafts, which pays for each and survives a crash; no worker writes them in the background yet.',
    documented: [
      'POST /api/v1/campaigns/{campaign_id}/playground/generate: is missing',
      'GET /api/v1/campaigns/{campaign_id}/playground/status: is missing',
      'GET /api/v1/campaigns/{campaign_id}/playground/drafts: is missing',
      'POST /api/v1/campaigns/{campaign_id}/playground/cancel: is missing',
    ],
  },
  {
    reason: 'Identity is the provider’s; the service writes no mail to its users.',
    inferred: ['POST /api/v1/auth/welcome-email: is missing'],
  },
];
