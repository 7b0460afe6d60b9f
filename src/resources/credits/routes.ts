/** Credits over REST (contract, tag credits). */

import { type Route, route } from '../../http/route.ts';
import type { Credits } from './credits.ts';
import {
  creditBalance,
  creditEstimate,
  estimateBody,
  listTransactionsQuery,
  transactionList,
} from './schema.ts';

const tag = 'credits';

export function createCreditRoutes(credits: Credits): Route[] {
  return [
    route({
      method: 'POST',
      path: '/api/v1/credits/estimate',
      operation: 'estimateCredits',
      tag,
      summary: 'Cost of an operation without charging it',
      access: 'read',
      body: estimateBody,
      answers: { 200: creditEstimate },
      handle: async ({ body }) => ({ status: 200, body: credits.estimate(body) }),
    }),
    route({
      method: 'GET',
      path: '/api/v1/credits/balance',
      operation: 'getCreditBalance',
      tag,
      summary: 'Balance and packages',
      access: 'read',
      answers: { 200: creditBalance },
      handle: async ({ caller }) => ({ status: 200, body: await credits.balance(caller) }),
    }),
    route({
      method: 'GET',
      path: '/api/v1/credits/transactions',
      operation: 'getCreditTransactions',
      tag,
      summary: 'Credit ledger, newest first',
      access: 'read',
      query: listTransactionsQuery,
      answers: { 200: transactionList },
      handle: async ({ caller, query }) => ({ status: 200, body: await credits.transactions(caller, query) }),
    }),
  ];
}
