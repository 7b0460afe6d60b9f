/** What writing to a lead needs of the rest of the house: rows to stand on, and something that writes. */

import type { WorkspaceTransaction } from '../../db/database.ts';
import type { Caller } from '../../runtime/caller.ts';
import type { SenderProfile } from '../sender-profiles/schema.ts';

/** What is known of a person; all of it was written by strangers. */
export interface LeadFields {
  email: string | null;
  first_name: string | null;
  last_name: string | null;
  company: string | null;
  title: string | null;
  city: string | null;
  country: string | null;
  website: string | null;
  /** Further columns by their names. */
  data: Record<string, unknown>;
}

export interface Lead extends LeadFields {
  lead_id: string;
  email: string;
}

export interface LeadReader {
  getWithin(tx: WorkspaceTransaction, leadId: string): Promise<Lead | null>;
}

export interface SenderReader {
  /** The named profile, else the caller's default; throws `NOT_FOUND` or `NO_SENDER_PROFILE`. */
  resolveWithin(tx: WorkspaceTransaction, caller: Caller, profileId?: string): Promise<SenderProfile>;
}

/** A text with {{variables}}; its author is of the workspace. */
export interface TemplateText {
  subject: string;
  body: string;
}

export interface TemplateReader {
  /** Throws `NOT_FOUND`. */
  get(caller: Caller, templateId: string): Promise<TemplateText>;
}

export interface PersonalizeInput {
  lead: LeadFields;
  /** The profile's `sender_data`, or such data without a profile. */
  sender: Record<string, unknown>;
  instructions?: string;
  template?: TemplateText;
  /** How to write, in place of the sender's own prompt and of the default. */
  customPrompt?: string;
  signal: AbortSignal;
  /** Told of what each model call used as it ends, whatever becomes of the mail. */
  spent?(usage: PersonalizeResult['usage']): void;
}

export type PromptSource = 'override' | 'named' | 'custom_prompt' | 'default';

export interface PersonalizeResult {
  subject: string;
  body: string;
  /** What the mail builds on, and the lead's field that says so; `quote` stands there word for word. */
  commonality: { text: string; field: string; quote: string } | null;
  /** What is wrong with the mail, a sentence each; empty where it passed the checks. */
  checks: string[];
  /** Names of the lead's fields that were given to the writer. */
  fields: string[];
  modelUsed: string;
  promptSource: PromptSource;
  /** How it was to be written. */
  prompt: string;
  usage: { input_tokens: number; output_tokens: number; model_calls: number };
}

/** Writes one mail to one lead; the personalize graph is one (resources may not import graphs). */
export interface Personalize {
  /** How mails are written when nobody says otherwise. */
  readonly defaultPrompt: string;
  write(input: PersonalizeInput): Promise<PersonalizeResult>;
}
