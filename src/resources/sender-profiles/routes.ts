/** Sender profiles and their named prompts over REST (contract, tag sender-profiles). */

import { z } from 'zod';
import { type Route, route } from '../../http/route.ts';
import {
  createPromptBody,
  createSenderProfileBody,
  listSenderProfilesQuery,
  namedPrompt,
  savePromptBody,
  searchSenderProfilesQuery,
  senderProfile,
  updatePromptBody,
  updateSenderProfileBody,
} from './schema.ts';
import type { SenderProfiles } from './sender-profiles.ts';

const tag = 'sender-profiles';
const profileParams = z.object({ profile_id: z.uuid() });
const promptParams = z.object({ profile_id: z.uuid(), name: z.string().min(1).max(100) });

export function createSenderProfileRoutes(senderProfiles: SenderProfiles): Route[] {
  return [
    route({
      method: 'POST',
      path: '/api/v1/sender-profiles/',
      operation: 'createSenderProfile',
      tag,
      summary: 'Create a sender profile',
      access: 'write',
      body: createSenderProfileBody,
      answers: { 201: senderProfile },
      refusals: ['LIMIT_REACHED'],
      handle: async ({ caller, body }) => ({ status: 201, body: await senderProfiles.create(caller, body) }),
    }),
    route({
      method: 'GET',
      path: '/api/v1/sender-profiles/',
      operation: 'listSenderProfiles',
      tag,
      summary: 'List own profiles, newest first',
      access: 'read',
      query: listSenderProfilesQuery,
      answers: { 200: z.array(senderProfile) },
      handle: async ({ caller, query }) => ({ status: 200, body: await senderProfiles.list(caller, query) }),
    }),
    // The two fixed names stand before the parameter that would take them for ids.
    route({
      method: 'GET',
      path: '/api/v1/sender-profiles/default/',
      operation: 'getDefaultSenderProfile',
      tag,
      summary: 'The default profile, or null',
      access: 'read',
      answers: { 200: senderProfile.nullable() },
      handle: async ({ caller }) => ({ status: 200, body: await senderProfiles.getDefault(caller) }),
    }),
    route({
      method: 'GET',
      path: '/api/v1/sender-profiles/search/',
      operation: 'searchSenderProfiles',
      tag,
      summary: 'Search by name part, ignoring case',
      access: 'read',
      query: searchSenderProfilesQuery,
      answers: { 200: z.array(senderProfile) },
      handle: async ({ caller, query }) => ({
        status: 200,
        body: await senderProfiles.search(caller, query),
      }),
    }),
    route({
      method: 'GET',
      path: '/api/v1/sender-profiles/{profile_id}',
      operation: 'getSenderProfile',
      tag,
      summary: 'Read a profile',
      access: 'read',
      params: profileParams,
      answers: { 200: senderProfile },
      handle: async ({ caller, params }) => ({
        status: 200,
        body: await senderProfiles.get(caller, params.profile_id),
      }),
    }),
    route({
      method: 'PUT',
      path: '/api/v1/sender-profiles/{profile_id}',
      operation: 'updateSenderProfile',
      tag,
      summary: 'Change the given fields of a profile',
      access: 'write',
      params: profileParams,
      body: updateSenderProfileBody,
      answers: { 200: senderProfile },
      handle: async ({ caller, params, body }) => ({
        status: 200,
        body: await senderProfiles.update(caller, params.profile_id, body),
      }),
    }),
    route({
      method: 'DELETE',
      path: '/api/v1/sender-profiles/{profile_id}',
      operation: 'deleteSenderProfile',
      tag,
      summary: 'Delete a profile',
      access: 'write',
      params: profileParams,
      answers: { 204: 'empty' },
      handle: async ({ caller, params }) => {
        await senderProfiles.remove(caller, params.profile_id);
        return { status: 204 };
      },
    }),
    route({
      method: 'POST',
      path: '/api/v1/personalize/save-prompt',
      operation: 'savePersonalizationPrompt',
      tag: 'personalization',
      summary: 'Keep a prompt under a name, in place of one that has it, and as the profile’s own',
      access: 'write',
      body: savePromptBody,
      answers: { 200: namedPrompt },
      refusals: ['NOT_FOUND', 'LIMIT_REACHED'],
      handle: async ({ caller, body }) => ({
        status: 200,
        body: await senderProfiles.savePrompt(caller, body),
      }),
    }),
    route({
      method: 'GET',
      path: '/api/v1/sender-profiles/{profile_id}/prompts',
      operation: 'listNamedPrompts',
      tag,
      summary: 'List named prompts',
      access: 'read',
      params: profileParams,
      answers: { 200: z.object({ prompts: z.array(namedPrompt) }) },
      handle: async ({ caller, params }) => ({
        status: 200,
        body: await senderProfiles.listPrompts(caller, params.profile_id),
      }),
    }),
    route({
      method: 'POST',
      path: '/api/v1/sender-profiles/{profile_id}/prompts',
      operation: 'createNamedPrompt',
      tag,
      summary: 'Add a named prompt',
      access: 'write',
      params: profileParams,
      body: createPromptBody,
      answers: { 201: namedPrompt },
      refusals: ['ALREADY_EXISTS', 'LIMIT_REACHED'],
      handle: async ({ caller, params, body }) => ({
        status: 201,
        body: await senderProfiles.createPrompt(caller, params.profile_id, body),
      }),
    }),
    route({
      method: 'PATCH',
      path: '/api/v1/sender-profiles/{profile_id}/prompts/{name}',
      operation: 'updateNamedPrompt',
      tag,
      summary: 'Change or rename a named prompt',
      access: 'write',
      params: promptParams,
      body: updatePromptBody,
      answers: { 200: namedPrompt },
      refusals: ['ALREADY_EXISTS'],
      handle: async ({ caller, params, body }) => ({
        status: 200,
        body: await senderProfiles.updatePrompt(caller, params.profile_id, params.name, body),
      }),
    }),
    route({
      method: 'DELETE',
      path: '/api/v1/sender-profiles/{profile_id}/prompts/{name}',
      operation: 'deleteNamedPrompt',
      tag,
      summary: 'Delete a named prompt',
      access: 'write',
      params: promptParams,
      answers: { 204: 'empty' },
      handle: async ({ caller, params }) => {
        await senderProfiles.removePrompt(caller, params.profile_id, params.name);
        return { status: 204 };
      },
    }),
  ];
}
