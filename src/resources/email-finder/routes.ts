/** The email finder over REST (contract, tag email-finder). */

import { z } from 'zod';
import { type Route, route } from '../../http/route.ts';
import type { EmailVerification } from '../email-verifier/email-verifier.ts';
import { verifyAnswer, verifyBody } from '../email-verifier/schema.ts';
import { domainName } from './domains.ts';
import type { EmailFinder } from './email-finder.ts';
import {
  bulkFindBody,
  bulkFindJob,
  bulkFindStatus,
  bulkStatusQuery,
  companyProfile,
  emailJob,
  emailJobStatus,
  finderHealth,
  finderStats,
  findTarget,
  personSearchResult,
} from './schema.ts';

const tag = 'email-finder';
const jobParams = z.object({ job_id: z.uuid() });

export interface EmailFinderRouteNeeds {
  emailFinder: EmailFinder;
  emailVerification: Pick<EmailVerification, 'verify'>;
}

export function createEmailFinderRoutes({ emailFinder, emailVerification }: EmailFinderRouteNeeds): Route[] {
  return [
    route({
      method: 'POST',
      path: '/api/v1/email-finder/search',
      operation: 'searchPerson',
      tag,
      summary: 'Look a contact up for free: a known lead, or the likeliest addresses',
      access: 'read',
      body: findTarget,
      answers: { 200: personSearchResult },
      handle: async ({ caller, body }) => ({ status: 200, body: await emailFinder.search(caller, body) }),
    }),
    route({
      method: 'POST',
      path: '/api/v1/email-finder/find',
      operation: 'findEmail',
      tag,
      summary: 'Find an address by the pattern of the known ones; it is not verified',
      access: 'write',
      body: findTarget,
      answers: { 202: emailJob },
      refusals: ['NOT_ENOUGH_CREDITS'],
      handle: async ({ caller, body }) => ({ status: 202, body: await emailFinder.find(caller, body) }),
    }),
    route({
      method: 'POST',
      path: '/api/v1/email-finder/bulk',
      operation: 'bulkFindEmails',
      tag,
      summary: 'Find many addresses',
      access: 'write',
      body: bulkFindBody,
      answers: { 202: bulkFindJob },
      refusals: ['NOT_ENOUGH_CREDITS'],
      handle: async ({ caller, body }) => ({ status: 202, body: await emailFinder.bulk(caller, body.rows) }),
    }),
    route({
      method: 'GET',
      path: '/api/v1/email-finder/bulk/{job_id}/status',
      operation: 'getBulkFindStatus',
      tag,
      summary: 'What a bulk find came to',
      access: 'read',
      params: jobParams,
      query: bulkStatusQuery,
      answers: { 200: bulkFindStatus },
      handle: async ({ caller, params, query }) => ({
        status: 200,
        body: await emailFinder.bulkStatus(caller, params.job_id, query.include_rows),
      }),
    }),
    route({
      method: 'POST',
      path: '/api/v1/email-finder/verify',
      operation: 'verifyEmail',
      tag,
      summary: 'Verify an address; what is known here is free, and so is what could not be found out',
      access: 'write',
      body: verifyBody,
      answers: { 200: verifyAnswer },
      refusals: ['NOT_ENOUGH_CREDITS'],
      handle: async ({ caller, body, gone }) => ({
        status: 200,
        body: await emailVerification.verify(caller, body.email, gone),
      }),
    }),
    route({
      method: 'GET',
      path: '/api/v1/email-finder/verify/{job_id}',
      operation: 'getEmailJobStatus',
      tag,
      summary: 'What a find or a verification came to',
      access: 'read',
      params: jobParams,
      answers: { 200: emailJobStatus },
      handle: async ({ caller, params }) => ({
        status: 200,
        body: await emailFinder.job(caller, params.job_id),
      }),
    }),
    route({
      method: 'GET',
      path: '/api/v1/email-finder/company/{domain}',
      operation: 'getCompanyByDomain',
      tag,
      summary: 'A domain and its address patterns, as the leads of the workspace show them',
      access: 'read',
      params: z.object({ domain: domainName }),
      answers: { 200: companyProfile },
      handle: async ({ caller, params }) => ({
        status: 200,
        body: await emailFinder.company(caller, params.domain),
      }),
    }),
    route({
      method: 'GET',
      path: '/api/v1/email-finder/stats',
      operation: 'getEmailFinderStats',
      tag,
      summary: 'Figures of the finder',
      access: 'read',
      answers: { 200: finderStats },
      handle: async ({ caller }) => ({ status: 200, body: await emailFinder.stats(caller) }),
    }),
    route({
      method: 'GET',
      path: '/api/v1/email-finder/health',
      operation: 'emailFinderHealth',
      tag,
      summary: 'Finder health; "verifier" says whether addresses can be verified',
      access: 'read',
      answers: { 200: finderHealth },
      handle: async () => ({ status: 200, body: { status: 'ok', verifier: true } }),
    }),
  ];
}
