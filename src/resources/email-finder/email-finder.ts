/**
 * Deeds of finding addresses: a person who is known, or what the known addresses of their company suggest. Nothing asks
 * a mail server here, so an address that was made by a pattern is always told as unverified.
 */

import { sql } from 'kysely';
import type { Database, WorkspaceTransaction } from '../../db/database.ts';
import { type ErrorDetail, ServiceError } from '../../errors.ts';
import type { Caller } from '../../runtime/caller.ts';
import type { Credits } from '../credits/credits.ts';
import { type OperationType, PRICES } from '../credits/prices.ts';
import { verifyOutcome } from '../email-verifier/schema.ts';
import { plain, wordsOf } from '../leads/search.ts';
import { SHARED_DOMAINS } from './domains.ts';
import { candidatesFor, type KnownAddress, plainName, sameName, weighPatterns } from './patterns.ts';
import {
  type BulkFindJob,
  type FindOutcome,
  type FindTarget,
  findOutcome,
  type PersonSearchResult,
} from './schema.ts';

/** Known addresses of one domain that are looked at. */
const KNOWN_LIMIT = 500;

export interface EmailFinderNeeds {
  database: Database;
  credits: Pick<Credits, 'reserveWithin' | 'captureWithin' | 'releaseWithin'>;
  newId(): string;
}

export type EmailFinder = ReturnType<typeof createEmailFinder>;

interface KnownLead extends KnownAddress {
  lead_id: string;
  email: string;
  title: string | null;
  company: string | null;
  suppressed: boolean;
  fullName: string;
}

/** What a find came to, and what it cost. */
export interface Found extends FindOutcome {
  credits: number;
}

export function createEmailFinder({ database, credits, newId }: EmailFinderNeeds) {
  /** The domain that is meant: the given one, else that of most of the company's known addresses; null where none is known. */
  async function domainWithin(tx: WorkspaceTransaction, target: FindTarget): Promise<string | null> {
    if ((target.domain ?? '') !== '') return target.domain ?? null;
    const company = target.company ?? '';
    // Without a letter or digit it would be the same as every other such name.
    if (wordsOf(company).length === 0) return null;
    const { rows } = await sql<{ domain: string }>`
      select l.domain from leads as l join datasets as d on d.id = l.dataset_id
       where d.archived_at is null and l.search @@ plainto_tsquery('simple', ${company})
         and ${plain(sql`l.company`)} = ${plain(sql`${company}::text`)} and not l.domain = any(${SHARED_DOMAINS})
       group by l.domain order by count(distinct l.address) desc, l.domain limit 1`.execute(tx);
    return rows[0]?.domain ?? null;
  }

  async function knownWithin(tx: WorkspaceTransaction, domain: string): Promise<KnownLead[]> {
    const { rows } = await sql<{
      lead_id: string;
      email: string;
      address: string;
      first_name: string | null;
      last_name: string | null;
      title: string | null;
      company: string | null;
      suppressed: boolean;
    }>`
      select distinct on (l.address) l.id as lead_id, l.email, l.address, l.first_name, l.last_name, l.title, l.company,
             exists (select 1 from suppression_entries as s where s.workspace_id = l.workspace_id and s.email = l.address) as suppressed
        from leads as l join datasets as d on d.id = l.dataset_id
       where l.domain = ${domain} and d.archived_at is null
       order by l.address, d.created_at desc, l.id limit ${KNOWN_LIMIT}`.execute(tx);
    return rows.map(({ first_name, last_name, ...row }) => {
      const fullName = [first_name, last_name].filter((part) => part !== null).join(' ');
      return { ...row, fullName, name: plainName(fullName) };
    });
  }

  /** Looks a person up at a domain: who is known, and what the known addresses suggest. */
  async function lookUpWithin(tx: WorkspaceTransaction, name: string, domain: string) {
    const person = plainName(name);
    const known = await knownWithin(tx, domain);
    const profile = known.find((lead) => sameName(lead.name, person)) ?? null;
    const candidates = SHARED_DOMAINS.includes(domain) ? [] : candidatesFor(person, domain, known);
    return { known, profile, candidates };
  }

  async function searchWithin(tx: WorkspaceTransaction, target: FindTarget): Promise<PersonSearchResult> {
    const domain = await domainWithin(tx, target);
    if (domain === null) return { found: false, profile: null, predicted_emails: [], company: null };
    const { known, profile, candidates } = await lookUpWithin(tx, target.name, domain);
    return {
      found: profile !== null,
      profile:
        profile === null
          ? null
          : {
              lead_id: profile.lead_id,
              email: profile.email,
              name: profile.fullName,
              title: profile.title,
              company: profile.company,
              suppressed: profile.suppressed,
            },
      predicted_emails: candidates.map(({ email, pattern, confidence, count }) => ({
        email,
        pattern,
        confidence,
        known_addresses: count,
      })),
      company: { domain, name: companyName(known), known_addresses: known.length },
    };
  }

  /** The domain that a find would look at; throws `VALIDATION_ERROR` where the company's is not known. */
  async function resolveWithin(tx: WorkspaceTransaction, target: FindTarget): Promise<string> {
    const domain = await domainWithin(tx, target);
    if (domain !== null) return domain;
    const detail: ErrorDetail = {
      loc: ['body', 'domain'],
      msg: 'No domain is known for this company. Name the domain.',
      type: 'unresolved_company',
    };
    throw new ServiceError('VALIDATION_ERROR', detail.msg, { details: [detail] });
  }

  /** Finds one address at a domain. It is worth its price where known addresses show how the domain makes them. */
  async function outcomeWithin(
    tx: WorkspaceTransaction,
    name: string,
    domain: string,
    price: number,
  ): Promise<Found> {
    const { profile, candidates } = await lookUpWithin(tx, name, domain);
    const plainly = { is_catch_all: null, error: null };
    if (profile !== null) {
      const { email } = profile;
      return { ...plainly, found: true, email, pattern: null, result: 'known', confidence: 1, credits: 0 };
    }
    const [best] = candidates;
    if (best === undefined || best.count === 0) {
      const error = `No known address of ${domain} shows how it makes them, so any address would be a guess.`;
      return {
        found: false,
        email: null,
        pattern: null,
        result: null,
        is_catch_all: null,
        confidence: null,
        error,
        credits: 0,
      };
    }
    const { email, pattern, confidence } = best;
    return { ...plainly, found: true, email, pattern, result: 'unverified', confidence, credits: price };
  }

  /** Reserves, finds all of them, captures what was found, and gives back the rest. */
  async function paidWithin(
    tx: WorkspaceTransaction,
    caller: Caller,
    targets: readonly { name: string; domain: string }[],
    { operation, reference }: { operation: OperationType; reference: string },
  ): Promise<Found[]> {
    const price = PRICES[operation];
    await credits.reserveWithin(tx, caller, {
      credits: price * targets.length,
      operation,
      reference,
      description: `Email finder: ${targets.length === 1 ? '1 address' : `${targets.length} addresses`}`,
    });
    const outcomes: Found[] = [];
    for (const { name, domain } of targets) outcomes.push(await outcomeWithin(tx, name, domain, price));
    const spent = outcomes.reduce((sum, outcome) => sum + outcome.credits, 0);
    await credits.captureWithin(tx, caller, { reference, credits: spent });
    await credits.releaseWithin(tx, caller, { reference });
    return outcomes;
  }

  /** Finds an address inside the caller's own transaction. Throws `NOT_ENOUGH_CREDITS`. */
  async function findWithin(
    tx: WorkspaceTransaction,
    caller: Caller,
    { name, domain, reference }: { name: string; domain: string; reference: string },
  ): Promise<Found> {
    const operation = 'email_finder_find';
    const [found] = await paidWithin(tx, caller, [{ name, domain }], { operation, reference });
    if (found === undefined) throw new Error('one target has one outcome');
    return found;
  }

  async function jobWithin(
    tx: WorkspaceTransaction,
    caller: Caller,
    jobId: string,
    types: readonly ('find' | 'bulk' | 'verify')[],
  ) {
    const job = await tx
      .selectFrom('email_finder_jobs')
      .select(['id', 'job_type', 'outcome', 'credits'])
      .where('id', '=', jobId)
      .where('user_id', '=', caller.userId)
      .where('job_type', 'in', types)
      .executeTakeFirst();
    if (job === undefined) throw new ServiceError('NOT_FOUND', 'There is no such job.');
    return job;
  }

  return {
    resolveWithin,
    findWithin,

    /** Looks a person up for free: the lead who has that name at the domain, and the eight addresses they could have. */
    search(caller: Caller, target: FindTarget): Promise<PersonSearchResult> {
      return database.within(caller.workspaceId, (tx) => searchWithin(tx, target));
    },

    /** Finds an address and keeps the answer as a job. Throws `VALIDATION_ERROR` (company unknown) and `NOT_ENOUGH_CREDITS`. */
    find(caller: Caller, target: FindTarget) {
      return database.within(caller.workspaceId, async (tx) => {
        const jobId = newId();
        const domain = await resolveWithin(tx, target);
        const reference = `email_finder_job:${jobId}`;
        const { credits: charged, ...outcome } = await findWithin(tx, caller, {
          name: target.name,
          domain,
          reference,
        });
        await tx
          .insertInto('email_finder_jobs')
          .values({
            id: jobId,
            workspace_id: caller.workspaceId,
            user_id: caller.userId,
            job_type: 'find',
            outcome: JSON.stringify(outcome),
            credits: charged,
          })
          .execute();
        return { job_id: jobId, status: 'completed' as const, credits_charged: charged };
      });
    },

    /** Finds many addresses at once, all or nothing. Rows whose domain is not known are left out and cost nothing. */
    bulk(caller: Caller, rows: readonly FindTarget[]): Promise<BulkFindJob> {
      return database.within(caller.workspaceId, async (tx) => {
        const jobId = newId();
        const targets: { row: number; name: string; domain: string }[] = [];
        const skipped: BulkFindJob['skipped_unresolved'] = [];
        for (const [row, target] of rows.entries()) {
          const domain = await domainWithin(tx, target);
          if (domain !== null) targets.push({ row, name: target.name, domain });
          else
            skipped.push({ row_index: row, name: target.name, reason: 'No domain is known for this row.' });
        }
        const outcomes = await paidWithin(tx, caller, targets, {
          operation: 'email_finder_bulk',
          reference: `email_finder_job:${jobId}`,
        });
        const charged = outcomes.reduce((sum, { credits: one }) => sum + one, 0);
        const mine = { workspace_id: caller.workspaceId, user_id: caller.userId };
        await tx
          .insertInto('email_finder_jobs')
          .values({
            ...mine,
            id: jobId,
            job_type: 'bulk',
            outcome: JSON.stringify({ total: rows.length }),
            credits: charged,
          })
          .execute();
        const jobs = outcomes.map(({ credits: one, ...outcome }, index) => ({
          ...mine,
          id: newId(),
          job_type: 'find',
          bulk_id: jobId,
          row_index: targets[index]?.row,
          outcome: JSON.stringify(outcome),
          credits: one,
        }));
        if (jobs.length > 0) await tx.insertInto('email_finder_jobs').values(jobs).execute();
        return {
          job_id: jobId,
          status: 'completed' as const,
          total: rows.length,
          queued: targets.length,
          credits_charged: charged,
          skipped_unresolved: skipped,
        };
      });
    },

    /** What a find or a verification came to. Throws `NOT_FOUND`, also for somebody else's. */
    job(caller: Caller, jobId: string) {
      return database.within(caller.workspaceId, async (tx) => {
        const job = await jobWithin(tx, caller, jobId, ['find', 'verify']);
        return job.job_type === 'verify' ? toVerifyJob(job) : toJob(job);
      });
    },

    /** What a bulk find came to; `rows` null where only figures are wanted. Throws `NOT_FOUND`, also for somebody else's. */
    bulkStatus(caller: Caller, jobId: string, includeRows: boolean) {
      return database.within(caller.workspaceId, async (tx) => {
        const { outcome } = await jobWithin(tx, caller, jobId, ['bulk']);
        const found = await tx
          .selectFrom('email_finder_jobs')
          .select(['id', 'outcome', 'row_index'])
          .where('bulk_id', '=', jobId)
          .orderBy('row_index')
          .execute();
        const rows = found.map((row) => ({ ...toJob(row), row_index: row.row_index ?? 0 }));
        const hits = rows.filter((row) => row.found).length;
        return {
          job_id: jobId,
          status: 'completed' as const,
          total: Number(outcome.total),
          completed: rows.length,
          found: hits,
          not_found: rows.length - hits,
          failed: 0,
          rows: includeRows ? rows : null,
        };
      });
    },

    /** What is known of a domain, and how it makes addresses. Throws `NOT_FOUND` where no address of it is known. */
    company(caller: Caller, domain: string) {
      return database.within(caller.workspaceId, async (tx) => {
        const known = SHARED_DOMAINS.includes(domain) ? [] : await knownWithin(tx, domain);
        if (known.length === 0) throw new ServiceError('NOT_FOUND', 'No address of this domain is known.');
        return {
          domain,
          name: companyName(known),
          email_patterns: weighPatterns(known).map(({ pattern, confidence, count }) => ({
            pattern,
            confidence,
            known_addresses: count,
          })),
          profile: { known_addresses: known.length },
        };
      });
    },

    /** Figures of the workspace. */
    stats(caller: Caller) {
      return database.within(caller.workspaceId, async (tx) => {
        const { rows } = await sql<{
          addresses: string;
          domains: string;
          searches: string;
          found: string;
        }>`
          select addresses, domains, searches, found
            from (select count(distinct l.address) as addresses, count(distinct l.domain) as domains
                    from leads as l join datasets as d on d.id = l.dataset_id where d.archived_at is null) known,
                 (select count(*) as searches, count(*) filter (where outcome->>'found' = 'true') as found
                    from email_finder_jobs where job_type = 'find') jobs`.execute(tx);
        const [row] = rows;
        return {
          known_addresses: Number(row?.addresses ?? 0),
          known_domains: Number(row?.domains ?? 0),
          searches: Number(row?.searches ?? 0),
          found: Number(row?.found ?? 0),
        };
      });
    },
  };
}

function toJob(row: { id: string; outcome: Record<string, unknown> }) {
  const outcome = findOutcome.parse(row.outcome);
  return {
    job_id: row.id,
    job_type: 'find' as const,
    status: 'completed' as const,
    ...outcome,
  };
}

function toVerifyJob(row: { id: string; outcome: Record<string, unknown> }) {
  const outcome = verifyOutcome.parse(row.outcome);
  return { job_id: row.id, job_type: 'verify' as const, status: 'completed' as const, ...outcome };
}

/** The name that most of the domain's leads give their company. */
function companyName(known: readonly KnownLead[]): string | null {
  const names = Map.groupBy(
    known.flatMap(({ company }) => company ?? []),
    (name) => name,
  );
  const [most] = [...names.entries()].sort(([, one], [, other]) => other.length - one.length);
  return most?.[0] ?? null;
}
