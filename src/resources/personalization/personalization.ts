/** Deeds of personalization: one mail written for one lead. Nothing is kept, and it costs no credits. */

import { z } from 'zod';
import type { Database, WorkspaceTransaction } from '../../db/database.ts';
import { ServiceError } from '../../errors.ts';
import type { Caller } from '../../runtime/caller.ts';
import { namedPrompt, type SenderProfile } from '../sender-profiles/schema.ts';
import type {
  LeadFields,
  LeadReader,
  Personalize,
  PersonalizeInput,
  PersonalizeResult,
  SenderReader,
  TemplateReader,
  TemplateText,
} from './ports.ts';
import type { EffectivePrompt, PreviewResult, previewBody } from './schema.ts';

export interface PersonalizationNeeds {
  database: Database;
  leads: LeadReader;
  senders: SenderReader;
  templates: TemplateReader;
  personalize: Personalize;
  now(): number;
}

export type Personalization = ReturnType<typeof createPersonalization>;

/** What to write for a lead of the workspace. */
export interface WriteForLead {
  leadId: string;
  senderProfileId?: string;
  templateId?: string;
  /** A text to write after, in place of a template's. */
  template?: TemplateText | undefined;
  /** How to write, in place of the sender's own prompt and of the default. */
  customPrompt?: string | undefined;
  instructions?: string;
  signal: AbortSignal;
  /** Told of what each model call used as it ends, whatever becomes of the mail. */
  spent?: PersonalizeInput['spent'];
}

const senderPrompts = z.object({
  prompts: z.array(namedPrompt).nullish().catch(null),
  custom_prompt: z.string().nullish().catch(null),
});

export function createPersonalization(needs: PersonalizationNeeds) {
  const { database, leads, senders, templates, personalize, now } = needs;

  /** The named profile, or the caller's default; an id that cannot be one is as absent as any other. */
  async function senderWithin(
    tx: WorkspaceTransaction,
    caller: Caller,
    profileId: string | undefined,
  ): Promise<SenderProfile> {
    if (profileId !== undefined && !z.uuid().safeParse(profileId).success) {
      throw new ServiceError('NOT_FOUND', 'There is no such sender profile.');
    }
    return senders.resolveWithin(tx, caller, profileId);
  }

  return {
    /**
     * Writes for the lead data and sender given, and shows what the mail stands on. Throws `NOT_FOUND` for an unknown
     * profile, and what the model throws.
     */
    async preview(
      caller: Caller,
      input: z.output<typeof previewBody>,
      signal: AbortSignal,
    ): Promise<PreviewResult> {
      const began = now();
      const profileId = input.sender_profile_id ?? undefined;
      const sender =
        profileId === undefined
          ? (input.sender_data ?? {})
          : await database.within(
              caller.workspaceId,
              async (tx) => (await senderWithin(tx, caller, profileId)).sender_data.data,
            );
      const lead = leadFieldsOf(input.lead_data);
      const context = input.research_context ?? '';
      if (context !== '') lead.data = { ...lead.data, research_context: context };
      const request: PersonalizeInput = { lead, sender, signal };
      if (typeof input.custom_prompt === 'string') request.customPrompt = input.custom_prompt;
      const written = await personalize.write(request);
      const { commonality } = written;
      return {
        subject: written.subject,
        email_body: written.body,
        commonality:
          commonality === null
            ? null
            : {
                text: commonality.text,
                supporting_evidence: [`${commonality.field}: ${commonality.quote}`],
              },
        prompt_source: written.promptSource,
        model_used: written.modelUsed,
        latency_ms: Math.round(now() - began),
        research_sources: [
          {
            name: 'lead_data',
            status: written.fields.length === 0 ? 'empty' : 'used',
            summary: `${written.fields.length} filled fields`,
            meta: { fields: written.fields },
            from_cache: false,
          },
        ],
        research_chars: context.length,
        research_latency_ms: 0,
        research_from_cache: false,
        research_cached_at: null,
        research_meta: { checks: written.checks },
      };
    },

    /**
     * Writes to a lead of the workspace. Throws `NOT_FOUND` (lead, profile, template), `NO_SENDER_PROFILE`,
     * `TOOL_FAILED` where the mail states what no field of the lead supports, and what the model throws.
     */
    async writeForLead(
      caller: Caller,
      {
        leadId,
        senderProfileId,
        templateId,
        customPrompt,
        instructions,
        signal,
        spent,
        ...given
      }: WriteForLead,
    ): Promise<PersonalizeResult & { to: string }> {
      const template = templateId === undefined ? given.template : await templates.get(caller, templateId);
      const { lead, profile } = await database.within(caller.workspaceId, async (tx) => {
        const found = await leads.getWithin(tx, leadId);
        if (found === null) throw new ServiceError('NOT_FOUND', 'There is no such lead.');
        return { lead: found, profile: await senderWithin(tx, caller, senderProfileId) };
      });
      // The id names the row and says nothing about the person.
      const { lead_id: _id, ...fields } = lead;
      const request: PersonalizeInput = { lead: fields, sender: profile.sender_data.data, signal, spent };
      if (template !== undefined) request.template = { subject: template.subject, body: template.body };
      if (customPrompt !== undefined) request.customPrompt = customPrompt;
      if (instructions !== undefined) request.instructions = instructions;
      const written = await personalize.write(request);
      if (written.checks.length > 0) {
        throw new ServiceError(
          'TOOL_FAILED',
          `No mail could be written that holds up: ${written.checks.slice(0, 3).join(' ')}`.slice(0, 600),
          { retryable: true },
        );
      }
      return { ...written, to: lead.email };
    },

    /** The prompt that is used when nobody says otherwise. */
    defaultPrompt() {
      return { prompt: personalize.defaultPrompt, prompt_source: 'default' as const };
    },

    /** The prompt that an editor should open with: the named one saved last, else the profile's own, else the default. */
    async effectivePrompt(caller: Caller, profileId: string | undefined): Promise<EffectivePrompt> {
      const profile = await database.within(caller.workspaceId, async (tx) => {
        try {
          return await senderWithin(tx, caller, profileId);
        } catch (error) {
          if (error instanceof ServiceError && error.code === 'NO_SENDER_PROFILE') return null;
          throw error;
        }
      });
      const { prompts, custom_prompt } = senderPrompts.parse(profile?.sender_data.data ?? {});
      const saved = (prompts ?? []).toSorted(
        (one, other) => Date.parse(other.updated_at) - Date.parse(one.updated_at),
      );
      const [newest] = saved;
      const sender_profile_id = profile?.id ?? null;
      if (newest !== undefined) {
        return { prompt: newest.prompt, prompt_source: 'named', prompt_name: newest.name, sender_profile_id };
      }
      const own = custom_prompt ?? '';
      return own.trim() === ''
        ? {
            prompt: personalize.defaultPrompt,
            prompt_source: 'default',
            prompt_name: null,
            sender_profile_id,
          }
        : { prompt: own, prompt_source: 'custom_prompt', prompt_name: null, sender_profile_id };
    },
  };
}

/** Names that clients use for our columns. */
const COLUMNS = {
  email: ['email', 'email_address'],
  first_name: ['first_name', 'firstName', 'firstname'],
  last_name: ['last_name', 'lastName', 'lastname'],
  company: ['company', 'company_name', 'organization'],
  title: ['title', 'role', 'job_title', 'position'],
  city: ['city'],
  country: ['country'],
  website: ['website', 'company_website'],
} as const;

/** Free-form lead data as a row has it: known columns by any of their names, the rest under `data`. */
function leadFieldsOf(given: Readonly<Record<string, unknown>>): LeadFields {
  const rest = new Map(Object.entries(given));
  const take = (names: readonly string[]): string | null => {
    for (const name of names) {
      const value = rest.get(name);
      if (typeof value !== 'string' || value.trim() === '') continue;
      rest.delete(name);
      return value;
    }
    return null;
  };
  return {
    email: take(COLUMNS.email),
    first_name: take(COLUMNS.first_name),
    last_name: take(COLUMNS.last_name),
    company: take(COLUMNS.company),
    title: take(COLUMNS.title),
    city: take(COLUMNS.city),
    country: take(COLUMNS.country),
    website: take(COLUMNS.website),
    data: Object.fromEntries(rest),
  };
}
