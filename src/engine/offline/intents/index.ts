/** The families of intents, a file each, in the order they are tried: the first that recognises the words answers. */

import type { Intent } from '../intent.ts';
import { aboutIntents } from './about.ts';
import { accountIntents } from './account.ts';
import { campaignIntents } from './campaigns.ts';
import { findingIntents } from './finding.ts';
import { leadIntents } from './leads.ts';
import { repliesIntents } from './replies.ts';
import { sendingIntents } from './sending.ts';
import { suppressionIntents } from './suppression.ts';
import { writingIntents } from './writing.ts';

/** Replies come before campaigns: “the replies to the Q4 campaign” is no campaign. Refusals to mail come before wishes to mail, and leads last: they take any name as someone to look for. */
const doing: readonly Intent[] = [
  ...accountIntents,
  ...repliesIntents,
  ...campaignIntents,
  ...suppressionIntents,
  ...sendingIntents,
  ...writingIntents,
  ...findingIntents,
  ...leadIntents,
];

export const intents: readonly Intent[] = [...aboutIntents(doing), ...doing];
