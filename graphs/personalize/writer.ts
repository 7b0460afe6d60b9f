/** The port behind which a mail is written: by a model (model-writer.ts), or by rules where there is none (rule-writer.ts). */

import type { PersonalizeInput, TemplateText } from '../../src/resources/personalization/ports.ts';
import type { Commonality, Draft, Facts, PersonalizeUsage } from './state.ts';

export interface WriterBrief {
  facts: Facts;
  sender: Facts;
  signal: AbortSignal;
  /** Told of each model call as it ends. */
  spent: PersonalizeInput['spent'];
}

export interface MailBrief extends WriterBrief {
  commonality: Commonality | null;
  instructions: string;
  template: TemplateText | null;
  guidance: string;
  /** What was wrong with the draft before this one. */
  faults: readonly string[];
}

export interface Writer {
  /** Who writes, as results name it. */
  readonly name: string;
  /** What the mail could build on, best first; the graph keeps the first that the lead's fields support. */
  findCommonalities(brief: WriterBrief): Promise<{ commonalities: Commonality[]; usage: PersonalizeUsage }>;
  writeEmail(brief: MailBrief): Promise<{ draft: Draft; usage: PersonalizeUsage }>;
}
