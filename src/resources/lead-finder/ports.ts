/** What finding leads needs of the rest of the house: where they come from, and what plans, searches and ranks. */

import type { WorkspaceTransaction } from '../../db/database.ts';
import type { OperationType } from '../credits/prices.ts';

/** Who is looked for: one person by name, or people by what they are. Blank and absent mean the same. */
export interface Wish {
  name?: string | null;
  company?: string | null;
  title?: string | null;
  /** A city or a country. */
  location?: string | null;
  /** Words that may stand anywhere in a lead. */
  keywords?: string | null;
}
export type WishField = keyof Wish;

/** One search as a source takes it: all that is given must hold. */
export interface SourceQuery {
  name: string;
  company: string;
  /** Ways to say the job; any of them will do. */
  titles: string[];
  location: string;
  keywords: string;
  limit: number;
}

/** A person as a source tells of them; all of it was written by strangers. */
export interface Profile {
  /** The row, where the person is a lead of the workspace. */
  lead_id: string | null;
  email: string | null;
  first_name: string | null;
  last_name: string | null;
  company: string | null;
  title: string | null;
  city: string | null;
  country: string | null;
  website: string | null;
  linkedin_url: string | null;
  suppressed: boolean;
}

export interface RankedProfile extends Profile {
  /** 0 to 1: how much of the wish is known to hold. */
  confidence: number;
  /** The parts of the wish that hold. */
  matched: WishField[];
}

/** In whose name and where a source is asked. */
export interface SourceScope {
  workspaceId: string;
  /** Reads the workspace's rows: in a transaction of its own, or in that of the work it is asked for. */
  within<T>(work: (tx: WorkspaceTransaction) => Promise<T>): Promise<T>;
  signal: AbortSignal;
}

/** Where leads come from. Asking again must be harmless: a batch that lost its process asks again. */
export interface LeadSource {
  readonly name: string;
  /** For people. */
  readonly title: string;
  /** Its price is that of this operation, for each profile that is found. */
  readonly operation: OperationType;
  /** Best first, at most `limit`. A ServiceError fails one wish; anything else is tried again later. */
  search(scope: SourceScope, query: SourceQuery): Promise<Profile[]>;
}

export interface FindRequest {
  wish: Wish;
  limit: number;
  /** Told after each step: how many are done, of how many, and what it was. */
  progress?(done: number, total: number, note: string): void;
}

/** Finds who is wished for in a source, best first; the lead-finder graph is one (resources may not import graphs). */
export type FindProfiles = (
  source: LeadSource,
  scope: SourceScope,
  request: FindRequest,
) => Promise<RankedProfile[]>;
